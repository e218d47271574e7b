// Registers the ops with the interpreter of a stock tflite-micro wheel, through its ABI
// (wheel_abi.h).
//
// The ABI is verified before it is used. First the virtual functions that the ops call are compared
// with the symbols that the wheel's library exports. Then the layout of the resolver is checked
// with its own virtual functions.

#include "ops/wheel/wheel_plugin.h"

#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

#include "ops/dcsr_ops.h"
#include "ops/wheel/wheel_abi.h"
#include "ops/wheel/wheel_port.h"

namespace dcsr::wheel {
namespace {

bool Refuse(const char* cause) {
  fprintf(stderr,
          "DcsrRegisterOps: %s; this plugin supports some tflite-micro wheels of September 2025 to "
          "October 2026\n",
          cause);
  return false;
}

// Callbacks of the ops, for wheels whose context has the MicroContext pointer at `impl_offset`.
template <size_t impl_offset>
struct Callbacks {
  static WheelPort MakePort(Context* context, Node* node) {
    MicroContext* micro_context;
    memcpy(&micro_context, reinterpret_cast<const char*>(context) + impl_offset,
           sizeof(micro_context));
    return WheelPort(micro_context, node);
  }

  template <bool (*function)(Port*)>
  static int32_t Call(Context* context, Node* node) {
    WheelPort port = MakePort(context, node);
    return function(&port) ? kStatusOk : kStatusError;
  }

  static constexpr Registration kConv2d = {
      nullptr,
      nullptr,
      Call<PrepareConv2dWithSharedRows>,
      Call<InvokeConv2dWithSharedRows>,
      nullptr,
      kBuiltinCustom,
      dcsr::kConv2dName,
  };
  static constexpr Registration kFullyConnected = {
      nullptr,
      nullptr,
      Call<PrepareFullyConnectedWithSharedRows>,
      Call<InvokeFullyConnectedWithSharedRows>,
      nullptr,
      kBuiltinCustom,
      dcsr::kFullyConnectedName,
  };
  static constexpr Registration kDepthwiseConv2d = {
      nullptr,
      nullptr,
      Call<PrepareDepthwiseConv2dWithSharedRows>,
      Call<InvokeDepthwiseConv2dWithSharedRows>,
      nullptr,
      kBuiltinCustom,
      dcsr::kDepthwiseConv2dName,
  };
};

constexpr int32_t kContextFunctions = 6;

// A generation of wheels: the exported names of the virtual functions of MicroContext that the ops
// call, and the registrations for these wheels.
struct Generation {
  const char* context_vtable;
  const char* context_functions[kContextFunctions];  // in the order of the vtable
  const Registration* conv2d;
  const Registration* fully_connected;
  const Registration* depthwise_conv2d;
};

constexpr Generation kGenerations[] = {
    // Since October 2026: TFLM's types are in tflite::micro, and TfLiteContext contains only its
    // `impl_`.
    {"_ZTVN6tflite5micro23MicroInterpreterContextE",
     {
         "_ZN6tflite5micro23MicroInterpreterContext24AllocatePersistentBufferEm",
         "_ZN6tflite5micro23MicroInterpreterContext27RequestScratchBufferInArenaEmPi",
         "_ZN6tflite5micro23MicroInterpreterContext16GetScratchBufferEi",
         "_ZN6tflite5micro23MicroInterpreterContext24AllocateTempTfLiteTensorEi",
         "_ZN6tflite5micro23MicroInterpreterContext26DeallocateTempTfLiteTensorEPNS0_"
         "12TfLiteTensorE",
         "_ZN6tflite5micro23MicroInterpreterContext13GetEvalTensorEi",
     },
     &Callbacks<0>::kConv2d,
     &Callbacks<0>::kFullyConnected,
     &Callbacks<0>::kDepthwiseConv2d},
    {"_ZTVN6tflite23MicroInterpreterContextE",
     {
         "_ZN6tflite23MicroInterpreterContext24AllocatePersistentBufferEm",
         "_ZN6tflite23MicroInterpreterContext27RequestScratchBufferInArenaEmPi",
         "_ZN6tflite23MicroInterpreterContext16GetScratchBufferEi",
         "_ZN6tflite23MicroInterpreterContext24AllocateTempTfLiteTensorEi",
         "_ZN6tflite23MicroInterpreterContext26DeallocateTempTfLiteTensorEP12TfLiteTensor",
         "_ZN6tflite23MicroInterpreterContext13GetEvalTensorEi",
     },
     &Callbacks<24>::kConv2d,
     &Callbacks<24>::kFullyConnected,
     &Callbacks<24>::kDepthwiseConv2d},
};

// Returns a handle of the library that contains the function at `address`, or null. Python loads
// the wheel's library with local visibility, so its symbols are found only through such a handle.
void* OpenLibraryOf(const void* address) {
  Dl_info info;
  if (dladdr(address, &info) == 0 || info.dli_fname == nullptr) return nullptr;
  return dlopen(info.dli_fname, RTLD_LAZY | RTLD_NOLOAD);
}

// Whether the vtable exported by `library` has the functions at the places of MicroContextVtable.
bool HasContextFunctions(void* library, const Generation& generation) {
  const void* symbol = dlsym(library, generation.context_vtable);
  if (symbol == nullptr) return false;
  // Two words precede the functions in the vtable.
  const auto* vtable = reinterpret_cast<const MicroContextVtable*>(
      static_cast<const char*>(symbol) + 2 * sizeof(void*));
  const void* const functions[kContextFunctions] = {
      reinterpret_cast<const void*>(vtable->allocate_persistent_buffer),
      reinterpret_cast<const void*>(vtable->request_scratch_buffer_in_arena),
      reinterpret_cast<const void*>(vtable->get_scratch_buffer),
      reinterpret_cast<const void*>(vtable->allocate_temp_tensor),
      reinterpret_cast<const void*>(vtable->deallocate_temp_tensor),
      reinterpret_cast<const void*>(vtable->get_eval_tensor),
  };
  for (int32_t i = 0; i < kContextFunctions; ++i) {
    const void* expected = dlsym(library, generation.context_functions[i]);
    if (expected == nullptr || functions[i] != expected) return false;
  }
  return true;
}

const Generation* FindGeneration(const Resolver* resolver) {
  void* library = OpenLibraryOf(reinterpret_cast<const void*>(resolver->vtable->find_custom));
  if (library == nullptr) return nullptr;
  const Generation* found = nullptr;
  for (const Generation& generation : kGenerations) {
    if (HasContextFunctions(library, generation)) found = &generation;
  }
  dlclose(library);  // Releases the reference that OpenLibraryOf() took.
  return found;
}

const Registration* FindCustom(const Resolver* resolver, const char* name) {
  return resolver->vtable->find_custom(resolver, name);
}

// Whether the resolver's own look-up finds each registration at its address in this layout.
bool HasKnownLayout(const Resolver* resolver) {
  if (resolver->registrations_len < 1 || resolver->registrations_len > kResolverCapacity) {
    return false;
  }
  for (uint32_t i = 0; i < resolver->registrations_len; ++i) {
    const Registration& registration = resolver->registrations[i];
    const Registration* found =
        registration.builtin_code == kBuiltinCustom
            ? FindCustom(resolver, registration.custom_name)
            : resolver->vtable->find_builtin(resolver, registration.builtin_code);
    if (found != &registration) return false;
  }
  return true;
}

bool Register(Resolver* resolver, const Registration& registration) {
  const Registration* present = FindCustom(resolver, registration.custom_name);
  if (present != nullptr) {
    return present->prepare == registration.prepare ||
           Refuse("another library has registered an op of this name");
  }
  const uint32_t slot = resolver->registrations_len;
  if (slot == kResolverCapacity) return Refuse("the interpreter has no room for more ops");
  const Registration before = resolver->registrations[slot];
  resolver->registrations[slot] = registration;
  resolver->registrations_len = slot + 1;
  if (FindCustom(resolver, registration.custom_name) == &resolver->registrations[slot]) return true;
  resolver->registrations_len = slot;
  resolver->registrations[slot] = before;
  return Refuse("the layout of the interpreter's op resolver is unknown");
}

}  // namespace
}  // namespace dcsr::wheel

bool DcsrRegisterOps(void* python_ops_resolver) {
  using namespace dcsr::wheel;  // NOLINT: an exported C function cannot be in it.
  auto* resolver = static_cast<Resolver*>(python_ops_resolver);
  const Generation* generation = FindGeneration(resolver);
  if (generation == nullptr) return Refuse("the interpreter's library is unknown");
  if (!HasKnownLayout(resolver)) {
    return Refuse("the layout of the interpreter's op resolver is unknown");
  }
  return Register(resolver, *generation->conv2d) &&
         Register(resolver, *generation->fully_connected) &&
         Register(resolver, *generation->depthwise_conv2d);
}
