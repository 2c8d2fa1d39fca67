#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

namespace cria::io::detail {

/// The text in quotes, with control characters escaped, for a sentence of one line.
inline std::string in_quotes(std::string_view text) {
  return nlohmann::json(text).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

}  // namespace cria::io::detail
