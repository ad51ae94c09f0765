#include "schema/codec/locate.hpp"

#include <algorithm>

#include "schema/codec/decoder.hpp"
#include "schema/codec/text.hpp"

namespace moored {
namespace {

constexpr std::size_t kMaxListDepth = 8;  // as deep as the loader looks into lists

void add_documents(Value document, std::size_t depth, std::vector<Value>& out) {
  const Value* kind = document.find("kind");
  const Value* items = document.find("items");
  const bool list = kind != nullptr && kind->scalar == "List" && items != nullptr;
  if (!list || depth == kMaxListDepth) {
    out.push_back(std::move(document));
    return;
  }
  for (const auto& item : items->items) add_documents(item, depth + 1, out);
}

bool ends_with(std::string_view text, std::string_view end) {
  return text.size() >= end.size() && text.substr(text.size() - end.size()) == end;
}

}  // namespace

FieldLocator::FieldLocator(std::string_view text, const std::string& file) {
  std::vector<Value> documents;
  if (ends_with(file, ".json")) {
    auto document = read_json(text, file);
    if (document) documents.push_back(*std::move(document));
  } else {
    Diagnostics ignored;  // the loader has told them
    documents = read_yaml(text, file, ignored);
  }
  for (auto& document : documents) add_documents(std::move(document), 0, documents_);
}

void FieldLocator::refine(Place& place) const {
  if (place.field.empty() || place.column > 0) return;
  const auto found = std::find_if(
      documents_.begin(), documents_.end(),
      [&](const Value& document) { return document.mark.line == place.line; });
  if (found == documents_.end()) return;
  const Mark mark = codec::find_mark(*found, place.field);
  place.line = mark.line;
  place.column = mark.column;
}

}  // namespace moored
