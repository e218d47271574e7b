// Checks the C++ array written by `compress --cc`: aligned, complete, a model with our custom ops.

#include "tests/exported_model.h"

#include <cstdint>
#include <cstdio>
#include <cstring>
#include <string_view>

int main() {
  const auto address = reinterpret_cast<std::uintptr_t>(g_exported_model_data);
  const std::string_view model(reinterpret_cast<const char*>(g_exported_model_data),
                               g_exported_model_data_size);
  if (address % 16 != 0 || model.size() < 8 || model.substr(4, 4) != "TFL3" ||
      model.find("DCSR_CONV_2D") == std::string_view::npos) {
    std::printf("not an aligned model of %zu bytes\n", model.size());
    return 1;
  }
  return 0;
}
