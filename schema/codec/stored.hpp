// Objects as the store has them, without the way through text.
#pragma once

#include <initializer_list>
#include <string_view>

#include "schema/model/object.hpp"

namespace moored {

// Makes a struct what it would be after being written and read back: times lose the part of a
// second that is not written. In place.
void make_stored(const TypeSchema& schema, void* object);

// True when both structs of a schema would be written alike.
bool is_same_struct(const TypeSchema& schema, const void* one, const void* other);
// The same of two objects of one kind, but for the top-level rows that are left out.
bool is_same_object(const Object& one, const Object& other,
                    std::initializer_list<std::string_view> left_out = {});

// Puts copies of the top-level rows of one struct in place of another's, but for those left out.
void copy_rows(const TypeSchema& schema, const void* from, void* to,
               std::initializer_list<std::string_view> left_out);

namespace codec {
// True when two values of a row's type would be written alike.
bool is_same_value(const Type& type, const Field& field, const void* one, const void* other);
}  // namespace codec

}  // namespace moored
