#pragma once

namespace pretrain {

/// The page to try a model in: HTML that loads nothing else.
extern const char* const serve_page;

}  // namespace pretrain
