// A minimal test framework.
//
//   static void test_promise(void) { CHECK(a == b, "seed %u", seed); }
//   int main(void) {
//     RUN_TEST(test_promise);
//     return check_exit_status();
//   }

#ifndef DCSR_TFLM_KERNELS_TESTING_CHECK_H_
#define DCSR_TFLM_KERNELS_TESTING_CHECK_H_

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

static int check_failures = 0;

// Counts a failure if the condition is false, prints the message (a printf format and its
// arguments) and continues.
#define CHECK(condition, ...)                                         \
  do {                                                                \
    if (!(condition)) {                                               \
      printf("%s:%d: %s is false: ", __FILE__, __LINE__, #condition); \
      printf(__VA_ARGS__);                                            \
      printf("\n");                                                   \
      ++check_failures;                                               \
    }                                                                 \
  } while (0)

#define RUN_TEST(test)                                                                 \
  do {                                                                                 \
    const int failures_before = check_failures;                                        \
    test();                                                                            \
    printf("%s %s\n", check_failures == failures_before ? "ok    " : "FAILED", #test); \
  } while (0)

// Compares `count` bytes. On a failure prints the first difference.
static inline void check_equal(const char* context, const int8_t* expected, const int8_t* actual,
                               size_t count) {
  for (size_t i = 0; i < count; ++i) {
    if (expected[i] != actual[i]) {
      printf("%s: first difference at %lu of %lu: expected %d, is %d\n", context, (unsigned long)i,
             (unsigned long)count, expected[i], actual[i]);
      ++check_failures;
      return;
    }
  }
}

static inline int check_exit_status(void) {
  if (check_failures > 0) printf("%d checks failed\n", check_failures);
  return check_failures > 0 ? 1 : 0;
}

#endif  // DCSR_TFLM_KERNELS_TESTING_CHECK_H_
