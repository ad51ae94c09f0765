#include "schema/validate/pod_specs.hpp"

namespace moored {
namespace {

// Rows reach members for writing; here they are only read.
void* member_of(const Field& row, const void* object) {
  return row.member(const_cast<void*>(object));
}

// Walks the objects of a struct, remembering the nearest metadata.
class Walk {
 public:
  explicit Walk(const PodSpecVisit& visit) : visit_(visit) {}

  void look(const TypeSchema& schema, const void* object, const ObjectMeta* meta,
            const std::string& path) {
    for (const auto& row : schema.fields) {
      if (row.member == nullptr || row.type != &TypeOf<ObjectMeta>::value) continue;
      meta = static_cast<const ObjectMeta*>(member_of(row, object));
    }
    for (const auto& row : schema.fields) {
      if (row.member == nullptr) continue;
      enter(*row.type, member_of(row, object), meta, path + (path.empty() ? "" : ".") +
                                                         std::string(row.name));
    }
  }

 private:
  void enter(const Type& type, const void* value, const ObjectMeta* meta,
             const std::string& path) {
    if (&type == &TypeOf<PodSpec>::value) {
      visit_(*static_cast<const PodSpec*>(value), *meta, path);
    } else if (type.shape == Shape::object) {
      if (&type != &TypeOf<ObjectMeta>::value) look(type.object(), value, meta, path);
    } else if (type.shape == Shape::optional && type.ops.size(value) > 0) {
      enter(*type.element, type.ops.at(value, 0), meta, path);
    } else if (type.shape == Shape::list && type.element->shape == Shape::object) {
      for (std::size_t i = 0; i < type.ops.size(value); ++i) {
        enter(*type.element, type.ops.at(value, i), meta, path + "[" + std::to_string(i) + "]");
      }
    }
  }

  const PodSpecVisit& visit_;
};

}  // namespace

void visit_pod_specs(const Object& object, const PodSpecVisit& visit) {
  Walk(visit).look(object.kind().schema(), object.body(), &object.meta(), {});
}

const void* find_member(const Object& object, std::string_view path, const Type& type) {
  const TypeSchema* schema = &object.kind().schema();
  const void* value = object.body();
  while (true) {
    const auto dot = path.find('.');
    const Field* found = nullptr;
    for (const auto& row : schema->fields) {
      if (row.member != nullptr && row.name == path.substr(0, dot)) found = &row;
    }
    if (found == nullptr) return nullptr;
    value = member_of(*found, value);
    if (dot == std::string_view::npos) return found->type == &type ? value : nullptr;
    if (found->type->shape != Shape::object) return nullptr;
    schema = &found->type->object();
    path.remove_prefix(dot + 1);
  }
}

}  // namespace moored
