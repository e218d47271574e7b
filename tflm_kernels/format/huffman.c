// Huffman-coded values: docs/format.md#huffman. Builds the decoding table of a canonical code from
// its code lengths.

#include "tflm_kernels/format/huffman.h"

#include "tflm_kernels/format/bits.h"
#include "tflm_kernels/format/decoders.h"
#include "tflm_kernels/format/row_reader.h"

static inline uint32_t code_length(const uint8_t* lengths, uint32_t symbol) {
  return (uint32_t)(lengths[symbol / 2] >> (symbol % 2 * kDcsrCodeLengthBits)) & 0xF;
}

static inline uint32_t reverse_byte(uint32_t bits) {
  bits = (bits & 0x0F) << 4 | (bits & 0xF0) >> 4;
  bits = (bits & 0x33) << 2 | (bits & 0xCC) >> 2;
  return (bits & 0x55) << 1 | (bits & 0xAA) >> 1;
}

bool dcsr_code_is_complete(const uint8_t* lengths, uint32_t raw_bits) {
  const uint32_t symbols = UINT32_C(1) << (8 - raw_bits);
  uint32_t entries = 0;  // table entries that the codes take
  for (uint32_t symbol = 0; symbol < symbols; ++symbol) {
    const uint32_t length = code_length(lengths, symbol);
    if (length > kDcsrMaxCodeBits) return false;
    if (length > 0) entries += UINT32_C(1) << (kDcsrMaxCodeBits - length);
  }
  return entries == UINT32_C(1) << kDcsrMaxCodeBits;
}

void dcsr_make_huffman_table(const uint8_t* lengths, uint32_t raw_bits, DcsrHuffmanTable* table) {
  const uint32_t symbols = UINT32_C(1) << (8 - raw_bits);
  // Codes are held in the upper bits of a byte, so that codes of all lengths have one order.
  // next[length] first counts the entries that the codes of a length take, then becomes the first
  // code of that length.
  uint32_t next[kDcsrMaxCodeBits + 1] = {0};
  for (uint32_t symbol = 0; symbol < symbols; ++symbol) {
    const uint32_t length = code_length(lengths, symbol);
    if (length > 0) next[length] += UINT32_C(1) << (kDcsrMaxCodeBits - length);
  }
  uint32_t first = 0;
  for (uint32_t length = 1; length <= kDcsrMaxCodeBits; ++length) {
    const uint32_t entries = next[length];
    next[length] = first;
    first += entries;
  }
  for (uint32_t symbol = 0; symbol < symbols; ++symbol) {
    const uint32_t length = code_length(lengths, symbol);
    if (length == 0) continue;
    const uint32_t entry = symbol << raw_bits << 8 | (length + raw_bits);
    // The first bit of a code is the lowest bit of the index.
    for (uint32_t i = reverse_byte(next[length]); i < UINT32_C(1) << kDcsrMaxCodeBits;
         i += UINT32_C(1) << length) {
      table->entry[i] = (uint16_t)entry;
    }
    next[length] += UINT32_C(1) << (kDcsrMaxCodeBits - length);
  }
}

static bool code_is_complete(const DcsrLayer* layer) {
  return dcsr_code_is_complete(dcsr_code_lengths(layer), layer->raw_bits);
}

// Bytes that two values take at most, and those of a stream whose values are read one by one.
enum { kMostPairBytes = 2 * (kDcsrMaxCodeBits + kDcsrMaxRawBits) / 8, kFewBytes = 8 };

static bool values_are_valid(const DcsrLayer* layer) {
  const uint8_t* lengths = dcsr_code_lengths(layer);
  const uint8_t* codes = (const uint8_t*)layer->values;
  DcsrHuffmanTable table;
  dcsr_make_huffman_table(lengths, layer->raw_bits, &table);
  DcsrBits bits = dcsr_bits_of(codes, (size_t)(lengths - codes));
  const uint32_t raw_bits = layer->raw_bits;
  uint32_t elements = layer->elements;
  // Two values at a time while whole words are left: the word holds both. `bit` is the first one of
  // a code, behind its raw bits.
  uint32_t bit = raw_bits;
  while (elements >= 2 && bits.end - bits.next >= kFewBytes) {
    // So many pairs cannot leave the stream.
    const size_t safe = (size_t)(bits.end - bits.next - 4) / kMostPairBytes;
    uint32_t pairs = safe < elements / 2 ? (uint32_t)safe : elements / 2;
    elements -= 2 * pairs;
    for (; pairs > 0; --pairs) {
      const uint32_t word = dcsr_load_u32(bits.next) >> bit;
      const uint32_t first = table.entry[word & 0xFF] & 0xFF;
      bit += first + (table.entry[word >> first & 0xFF] & 0xFF);
      bits.next += bit / 8;
      bit %= 8;
    }
  }
  if (bit < raw_bits) {
    --bits.next;
    bit += 8;
  }
  bit -= raw_bits;
  if (bit > 0) {
    bits.word = (uint32_t)*bits.next++ >> bit;
    bits.left = 8 - bit;
  }
  while (elements > 0) {
    dcsr_refill(&bits);
    // At least one value: near the end of the stream there may be fewer bits.
    do {
      const uint32_t length = table.entry[bits.word >> raw_bits & 0xFF] & 0xFF;
      if (length > bits.left) return false;
      bits.word >>= length;
      bits.left -= length;
    } while (--elements > 0 && bits.left >= kDcsrMaxRawBits + kDcsrMaxCodeBits);
  }
  return dcsr_has_no_byte_left(&bits);
}

static void begin(DcsrRowReader* reader) {
  const DcsrLayer* layer = reader->layer;
  const uint8_t* lengths = dcsr_code_lengths(layer);
  const uint8_t* codes = (const uint8_t*)layer->values;
  reader->value_bits = dcsr_bit_reader(codes, (size_t)(lengths - codes));
  dcsr_make_huffman_table(lengths, layer->raw_bits, &reader->values);
}

static void read_values(DcsrRowReader* reader, DcsrGroup* group) {
  const uint32_t raw_bits = reader->layer->raw_bits;
  for (uint32_t l = 0; l < group->lanes; ++l) {
    group->decoded[l] = dcsr_read_value(&reader->value_bits, &reader->values, raw_bits);
  }
  group->weight = group->decoded;
}

// State of the value decoder, kept in registers.
typedef struct {
  const uint8_t* codes;
  uint32_t bit;  // position of the next value, relative to `codes`
  const uint16_t* entries;
  uint32_t raw_bits;
} Values;

// Returns the value at the lowest bits of `word` and shifts it out.
static inline int8_t next_value(Values* values, uint32_t* word) {
  const uint32_t raw_mask = (UINT32_C(1) << values->raw_bits) - 1;
  const uint32_t entry = values->entries[*word >> values->raw_bits & 0xFF];
  const uint32_t value = entry >> 8 | (*word & raw_mask);
  *word >>= entry & 0xFF;
  values->bit += entry & 0xFF;
  return (int8_t)value;
}

static inline uint32_t next_word(const Values* values) {
  return dcsr_load_u32(values->codes + values->bit / 8) >> (values->bit % 8);
}

// One word holds at least two values.
static void decode_values(DcsrRowReader* reader, DcsrGroup* group) {
  const DcsrBitReader* bits = &reader->value_bits;
  Values values = {bits->data + bits->byte, bits->bit, reader->values.entry,
                   reader->layer->raw_bits};
  int8_t* decoded = group->decoded;
  uint32_t left = group->lanes;
  for (; left >= 4; left -= 4) {
    uint32_t word = next_word(&values);
    *decoded++ = next_value(&values, &word);
    *decoded++ = next_value(&values, &word);
    word = next_word(&values);
    *decoded++ = next_value(&values, &word);
    *decoded++ = next_value(&values, &word);
  }
  for (; left > 0; --left) {
    uint32_t word = next_word(&values);
    *decoded++ = next_value(&values, &word);
  }
  dcsr_skip_bits(&reader->value_bits, values.bit - reader->value_bits.bit);
  group->weight = group->decoded;
}

_Static_assert(2 * (kDcsrMaxCodeBits + kDcsrMaxRawBits) <= kDcsrPeekBits, "decode_values");

const DcsrValueDecoder kDcsrHuffmanDecoder = {code_is_complete, values_are_valid, begin,
                                              read_values, decode_values};
const DcsrValueDecoder kDcsrHuffmanUncheckedDecoder = {dcsr_unchecked, dcsr_unchecked, begin,
                                                       read_values, decode_values};
