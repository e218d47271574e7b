// C++ in firmware: constructors that run before main(), virtual functions, new and delete.

#include <stdio.h>

#include <algorithm>
#include <array>
#include <cstdint>

namespace {

class Shape {
 public:
  virtual ~Shape() = default;
  virtual int Area() const = 0;
};

class Square final : public Shape {
 public:
  explicit Square(int side) : side_(side) {}
  int Area() const override { return side_ * side_; }

 private:
  const int side_;
};

// Not a constant, so that the constructor runs at startup.
volatile int side = 7;
const Square global_square(side);

}  // namespace

int main() {
  Shape* square = new Square(side);
  std::array<int, 3> areas = {square->Area(), global_square.Area(), 1};
  delete square;
  std::sort(areas.begin(), areas.end());
  volatile float root = static_cast<float>(areas[2]);
  int8_t* bytes = new int8_t[1000]();
  const bool good =
      areas[0] == 1 && areas[1] == 49 && areas[2] == 49 && root == 49.0f && bytes[999] == 0;
  delete[] bytes;
  printf("%s\n", good ? "ok" : "FAILED");
  return good ? 0 : 1;
}
