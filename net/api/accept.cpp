#include "net/api/accept.hpp"

#include "net/api/http.hpp"

namespace moored::net::api {
namespace {

std::string_view trim(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t'))
    text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t'))
    text.remove_suffix(1);
  return text;
}

// Takes the part before the separator off the front of text.
std::string_view take_until(std::string_view& text, char separator) {
  const auto end = text.find(separator);
  const auto part = text.substr(0, end);
  text = end == std::string_view::npos ? std::string_view{} : text.substr(end + 1);
  return trim(part);
}

// The three parameters that Kubernetes puts on application/json.
struct Entry {
  std::string_view type;
  std::string_view as;
  std::string_view group;
  std::string_view version;
};

Entry parse_entry(std::string_view text) {
  Entry entry;
  entry.type = take_until(text, ';');
  while (!text.empty()) {
    auto parameter = take_until(text, ';');
    const auto name = take_until(parameter, '=');
    const auto value = trim(parameter);
    if (name == "as") entry.as = value;
    if (name == "g") entry.group = value;
    if (name == "v") entry.version = value;
  }
  return entry;
}

std::optional<Choice> serve(const Entry& entry, Offer offer) {
  const bool json = same_name(entry.type, "application/json");
  if (!json && entry.type != "*/*" && !same_name(entry.type, "application/*")) return std::nullopt;
  if (entry.as.empty()) return Choice{};
  if (!json) return std::nullopt;
  const bool old_or_new = entry.version == "v1" || entry.version == "v1beta1";
  if (offer == Offer::objects && entry.group == "meta.k8s.io" && old_or_new) {
    if (entry.as == "Table") return Choice{Form::table, std::string(entry.version)};
    if (entry.as == "PartialObjectMetadata" || entry.as == "PartialObjectMetadataList") {
      return Choice{Form::metadata, std::string(entry.version)};
    }
  }
  const bool known = entry.version == "v2" || entry.version == "v2beta1";
  if (offer == Offer::discovery && entry.group == "apidiscovery.k8s.io" && known &&
      entry.as == "APIGroupDiscoveryList") {
    return Choice{Form::discovery, std::string(entry.version)};
  }
  return std::nullopt;
}

}  // namespace

std::optional<Choice> choose(std::string_view accept, Offer offer) {
  if (trim(accept).empty()) return Choice{};
  while (!accept.empty()) {
    if (auto choice = serve(parse_entry(take_until(accept, ',')), offer)) return choice;
  }
  return std::nullopt;
}

}  // namespace moored::net::api
