// What the plugin for the wheel exports.
//
// In Python, after the library was loaded with ctypes.CDLL(path, mode=ctypes.RTLD_GLOBAL):
//   tflite_micro.runtime.Interpreter.from_file(path, custom_op_registerers=["DcsrRegisterOps"])

#ifndef DCSR_OPS_WHEEL_WHEEL_PLUGIN_H_
#define DCSR_OPS_WHEEL_WHEEL_PLUGIN_H_

// Registers both ops with a tflite::PythonOpsResolver; harmless if they are there already. False,
// after a message on stderr, if they cannot be: above all if this is a wheel whose ABI is not the
// known one.
extern "C" __attribute__((visibility("default"))) bool DcsrRegisterOps(void* python_ops_resolver);

#endif  // DCSR_OPS_WHEEL_WHEEL_PLUGIN_H_
