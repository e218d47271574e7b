// Recorded clips for the firmware. export_clips.py generates keyword_clips.cc.

#ifndef DCSR_EXAMPLES_KEYWORD_SPOTTING_KEYWORD_CLIPS_H_
#define DCSR_EXAMPLES_KEYWORD_SPOTTING_KEYWORD_CLIPS_H_

#include <stddef.h>
#include <stdint.h>

// One second: 49 frames of 10 MFCC, the layout of the model's input.
inline constexpr size_t kClipBytes = 49 * 10;
inline constexpr size_t kLabelCount = 12;

struct KeywordClip {
  const char* spoken;
  int8_t mfcc[kClipBytes];
  // Outputs of the uncompressed model.
  int8_t expected[kLabelCount];
};

extern const char* const kLabels[kLabelCount];
extern const KeywordClip kClips[];
extern const size_t kClipCount;

#endif  // DCSR_EXAMPLES_KEYWORD_SPOTTING_KEYWORD_CLIPS_H_
