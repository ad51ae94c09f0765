// Finding rows by path, and the name that was probably meant.
#include <algorithm>
#include <cctype>

#include "schema/codec/codec.hpp"

namespace moored {
namespace {

std::string lower(std::string_view text) {
  std::string out(text);
  std::transform(out.begin(), out.end(), out.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return out;
}

// Edits (insert, delete, replace, swap of neighbours) that turn one word into the other.
std::size_t edit_distance(const std::string& a, const std::string& b) {
  std::vector<std::vector<std::size_t>> rows(a.size() + 1, std::vector<std::size_t>(b.size() + 1));
  for (std::size_t i = 0; i <= a.size(); ++i) rows[i][0] = i;
  for (std::size_t j = 0; j <= b.size(); ++j) rows[0][j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t change = a[i - 1] == b[j - 1] ? 0 : 1;
      rows[i][j] = std::min({rows[i - 1][j] + 1, rows[i][j - 1] + 1, rows[i - 1][j - 1] + change});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) {
        rows[i][j] = std::min(rows[i][j], rows[i - 2][j - 2] + 1);
      }
    }
  }
  return rows[a.size()][b.size()];
}

// The table behind a type, through optionals, lists and maps; nullptr for scalars.
const TypeSchema* table_of(const Type* type) {
  while (type != nullptr && type->shape != Shape::object) type = type->element;
  return type == nullptr ? nullptr : &type->object();
}

}  // namespace

std::string nearest_name(std::string_view name, const std::vector<std::string_view>& candidates) {
  constexpr std::size_t kLongestName = 64;
  if (name.empty() || name.size() > kLongestName) return {};
  const auto wanted = lower(name);
  std::string best;
  std::size_t best_distance = std::max<std::size_t>(1, name.size() / 3) + 1;
  for (const auto candidate : candidates) {
    const auto distance = edit_distance(wanted, lower(candidate));
    if (distance < best_distance) {
      best_distance = distance;
      best = candidate;
    }
  }
  return best;
}

Result<const Field*> find_field(const TypeSchema& schema, std::string_view path) {
  const TypeSchema* table = &schema;
  const Field* found = nullptr;
  while (!path.empty()) {
    const auto dot = path.find('.');
    const auto step = path.substr(0, dot);
    path.remove_prefix(dot == std::string_view::npos ? path.size() : dot + 1);
    const auto row = table == nullptr
                         ? std::span<const Field>::iterator{}
                         : std::find_if(table->fields.begin(), table->fields.end(),
                                        [&](const Field& field) { return field.name == step; });
    if (table == nullptr || row == table->fields.end()) {
      std::vector<std::string_view> names;
      if (table != nullptr) {
        for (const auto& field : table->fields) names.push_back(field.name);
      }
      const auto near = nearest_name(step, names);
      auto error = Error{Code::not_found, "there is no field " + std::string(step), "UnknownField",
                         {}, near.empty() ? "" : "did you mean " + near + "?"};
      return Unexpected(std::move(error));
    }
    found = &*row;
    table = (found->flags & kUnset) != 0 ? nullptr : table_of(found->type);
  }
  if (found == nullptr) return fail(Code::invalid, "the field path is empty");
  return found;
}

}  // namespace moored
