#include "net/api/table.hpp"

#include <array>

#include "net/api/json_text.hpp"
#include "schema/model/pod.hpp"

namespace moored::net::api {
namespace {

constexpr std::array<Column, 2> kPlainColumns{{
    {"Name", "string", "name", 0, "Name must be unique within a namespace."},
    {"Created At", "date", "", 0, "When the object was recorded first."},
}};

// For kinds that bring no columns of their own.
std::vector<Cell> plain_cells(const Object& object, Time) {
  const auto& meta = object.meta();
  return {Cell::of(meta.name),
          Cell::of(meta.creation_timestamp ? format_time(*meta.creation_timestamp) : "<unknown>")};
}

constexpr TableFormat kPlain{kPlainColumns, &plain_cells};

void append_column(std::string& out, const Column& column) {
  out += out.back() == '[' ? "{" : ",{";
  append_member(out, "name", column.name);
  append_member(out, "type", column.type);
  append_member(out, "format", column.format);
  append_member(out, "description", column.doc);
  append_name(out, "priority");
  out += std::to_string(column.priority);
  out.push_back('}');
}

// Numbers stay numbers, so that clients can sort by them.
void append_cell(std::string& out, const Cell& cell) {
  switch (cell.type) {
    case Cell::Type::text:
      append_text(out, cell.text);
      return;
    case Cell::Type::integer:
      out += std::to_string(cell.number);
      return;
    case Cell::Type::boolean:
      out += cell.number != 0 ? "true" : "false";
      return;
  }
}

// Pods that have run to their end are greyed out by some clients.
void append_conditions(std::string& out, const Object& object) {
  if (!object.is<Pod>()) return;
  const auto& phase = object.as<Pod>().status.phase;
  if (phase != "Succeeded" && phase != "Failed") return;
  out += R"(,"conditions":[{"type":"Completed","status":"True")";
  append_member(out, "reason", phase);
  append_member(out, "message",
                phase == "Succeeded" ? "The pod has completed successfully." : "The pod failed.");
  out += "}]";
}

void open_row(std::string& out) {
  out += out.back() == '[' ? R"({"cells":[)" : R"(,{"cells":[)";
}

}  // namespace

const TableFormat& format_of(const Resource& resource) {
  const auto* stored = resource.stored;
  return stored != nullptr && stored->table != nullptr ? *stored->table : kPlain;
}

void open_table(std::string& out, std::string_view version, const TableFormat& format,
                std::string_view metadata, bool with_columns) {
  out += R"({"kind":"Table")";
  append_member(out, "apiVersion", "meta.k8s.io/" + std::string(version));
  append_name(out, "metadata");
  out += metadata;
  append_name(out, "columnDefinitions");
  out.push_back('[');
  if (with_columns) {
    for (const auto& column : format.columns)
      append_column(out, column);
  }
  out += R"(],"rows":[)";
}

// Cells are made from what may be shown: a Secret's values are gone before they get here.
void append_row(std::string& out, std::string_view version, const TableFormat& format,
                const Object& object, const Encoded& encoded, RowObject row_object, Time now) {
  open_row(out);
  for (const auto& cell : format.cells(withhold(object), now)) {
    if (out.back() != '[') out.push_back(',');
    append_cell(out, cell);
  }
  out.push_back(']');
  append_conditions(out, object);
  if (row_object == RowObject::metadata) {
    out += R"(,"object":)" + partial_metadata(version, encoded);
  } else if (row_object == RowObject::whole) {
    out += R"(,"object":)" + encoded.whole;
  }
  out.push_back('}');
}

void append_empty_row(std::string& out, const TableFormat& format, std::string_view object_json) {
  open_row(out);
  for (std::size_t i = 0; i < format.columns.size(); ++i)
    out += i == 0 ? R"("")" : R"(,"")";
  out += R"(],"object":)";
  out += object_json;
  out.push_back('}');
}

void close_table(std::string& out) {
  out += "]}";
}

std::string partial_metadata(std::string_view version, const Encoded& encoded) {
  std::string out = R"({"kind":"PartialObjectMetadata")";
  append_member(out, "apiVersion", "meta.k8s.io/" + std::string(version));
  append_name(out, "metadata");
  out += encoded.metadata;
  out.push_back('}');
  return out;
}

}  // namespace moored::net::api
