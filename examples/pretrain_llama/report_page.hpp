#pragma once

namespace pretrain {

/// report_page.html, whose "@DATA@" stands for what the page shows, as JSON.
extern const char* const report_page;

}  // namespace pretrain
