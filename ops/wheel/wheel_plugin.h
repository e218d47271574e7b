// The function exported by the plugin for the wheel.
//
// In Python, after loading the library with ctypes.CDLL(path, mode=ctypes.RTLD_GLOBAL):
//   tflite_micro.runtime.Interpreter.from_file(path, custom_op_registerers=["DcsrRegisterOps"])

#ifndef DCSR_OPS_WHEEL_WHEEL_PLUGIN_H_
#define DCSR_OPS_WHEEL_WHEEL_PLUGIN_H_

// Registers the three ops with a tflite::PythonOpsResolver; does nothing if they are already
// registered. Returns false, after a message on stderr, if they cannot be registered, in particular
// if the wheel's ABI is unknown.
extern "C" __attribute__((visibility("default"))) bool DcsrRegisterOps(void* python_ops_resolver);

#endif  // DCSR_OPS_WHEEL_WHEEL_PLUGIN_H_
