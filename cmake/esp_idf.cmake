# The component of ESP-IDF: the kernels, the ops and their adapter for TensorFlow Lite Micro, which is the public dependency
# espressif/esp-tflite-micro in idf_component.yml. The CMakeLists.txt of the repository includes this file in ESP-IDF.
include("${CMAKE_CURRENT_LIST_DIR}/sources.cmake")

idf_component_register(
  SRCS ${DCSR_KERNEL_SOURCES} ${DCSR_PORT_SOURCES} ${DCSR_TFLM_SOURCES}
  INCLUDE_DIRS "${DCSR_ROOT}")

target_compile_features(${COMPONENT_LIB} PUBLIC cxx_std_17)
# The kernels are measured with it; ESP-IDF's default is -Og.
target_compile_options(${COMPONENT_LIB} PRIVATE -O2)
