// Tables: what `kubectl get` prints, computed here.
#pragma once

#include <string>
#include <string_view>

#include "net/api/encoding.hpp"
#include "schema/base/time.hpp"

namespace moored::net::api {

// What rides along in rows[].object.
enum class RowObject { metadata, whole, none };

// The columns of a resource; kinds without a format of their own show Name and Created At.
const TableFormat& format_of(const Resource& resource);
// Appends {"kind":"Table",…,"columnDefinitions":[…],"rows":[ and leaves the rows open.
// metadata is a JSON object; without columns the definitions are an empty list.
void open_table(std::string& out, std::string_view version, const TableFormat& format,
                std::string_view metadata, bool with_columns = true);
// Appends one row, with a comma where one is needed.
void append_row(std::string& out, std::string_view version, const TableFormat& format,
                const Object& object, const Encoded& encoded, RowObject row_object, Time now);
// Appends a row of empty cells whose object is the given JSON (bookmarks).
void append_empty_row(std::string& out, const TableFormat& format, std::string_view object_json);
void close_table(std::string& out);
// {"kind":"PartialObjectMetadata",…} of an object.
std::string partial_metadata(std::string_view version, const Encoded& encoded);

}  // namespace moored::net::api
