#include "schema/model/checks.hpp"

namespace moored {

std::optional<Error> port_reference_check(const void* value) {
  const auto& port = *static_cast<const IntOrString*>(value);
  return port.is_string ? check_port_name(port.text) : kPort(&port.number);
}

std::optional<Error> amount_check(const void* value) {
  const auto& amount = *static_cast<const IntOrString*>(value);
  if (!amount.is_string) return kNatural32(&amount.number);
  const std::string_view text = amount.text;
  const auto digits = text.substr(0, text.empty() ? 0 : text.size() - 1);
  const bool shaped = !digits.empty() && digits.size() <= 3 && text.back() == '%' &&
                      std::all_of(digits.begin(), digits.end(),
                                  [](char c) { return c >= '0' && c <= '9'; });
  if (shaped && std::stoi(std::string(digits)) <= 100) return std::nullopt;
  return invalid_value(quoted(text) + " is neither a number nor a percentage",
                       "write a number such as 1 or a percentage from 0% to 100%");
}

}  // namespace moored
