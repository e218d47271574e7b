# Sets DCSR_ROOT, the folder to compile with -I, and the sources in it by absolute paths, for every build that uses CMake:
#   DCSR_KERNEL_SOURCES   C11, the kernels
#   DCSR_PORT_SOURCES     C++17, the ops without an interpreter
#   DCSR_TFLM_SOURCES     C++17, their adapter for TensorFlow Lite Micro, with its headers
get_filename_component(DCSR_ROOT "${CMAKE_CURRENT_LIST_DIR}/.." ABSOLUTE)

# CMake scripts, as which ESP-IDF also runs component files, do not allow CONFIGURE_DEPENDS.
set(dcsr_depends CONFIGURE_DEPENDS)
if(CMAKE_SCRIPT_MODE_FILE)
  set(dcsr_depends)
endif()

# The rooms of tflm_kernels that belong into a firmware, whole.
set(DCSR_KERNEL_SOURCES)
foreach(dcsr_room dispatch format mve planning reference scalar)
  file(GLOB dcsr_sources ${dcsr_depends} "${DCSR_ROOT}/tflm_kernels/${dcsr_room}/*.c")
  list(APPEND DCSR_KERNEL_SOURCES ${dcsr_sources})
endforeach()
set(DCSR_PORT_SOURCES "${DCSR_ROOT}/ops/dcsr_ops.cc" "${DCSR_ROOT}/ops/dcsr_ops_with_shared_rows.cc")
set(DCSR_TFLM_SOURCES "${DCSR_ROOT}/ops/tflm/tflm_ops.cc" "${DCSR_ROOT}/ops/tflm/tflm_port.cc")
