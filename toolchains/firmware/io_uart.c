// Output through the first UART of the MPS2 and MPS3 boards (CMSDK APB UART), 115200 baud.

#include <stdint.h>

#include "toolchains/firmware/device.h"
#include "toolchains/firmware/io.h"

typedef struct {
  volatile uint32_t DATA;
  volatile uint32_t STATE;
  volatile uint32_t CTRL;
  volatile uint32_t INTSTATUS;
  volatile uint32_t BAUDDIV;
} Uart;

enum { kTransmitFull = 1, kTransmitEnable = 1, kBaud = 115200 };

#define UART0 ((Uart*)DCSR_BOARD_UART0)

void io_write(const char* data, size_t size) {
  // Set up on each call: the first output may be the report of a fault.
  UART0->BAUDDIV = DCSR_BOARD_UART_CLOCK / kBaud;
  UART0->CTRL = kTransmitEnable;
  for (size_t i = 0; i < size; ++i) {
    while ((UART0->STATE & kTransmitFull) != 0) {
    }
    UART0->DATA = (uint8_t)data[i];
  }
}

void io_exit(int status) {
  (void)status;  // already printed; a board cannot return it
  for (;;) __WFI();
}
