// Names the two per-type functions that struct headers specialise, without their heavy headers.
#pragma once

namespace moored {

struct TypeSchema;
struct Kind;

// The rows of a struct (schema.hpp). Every struct declares its specialisation below its definition.
template <class T>
const TypeSchema& schema_of();
// The registry row of a kind (object.hpp). Every kind declares its specialisation likewise.
template <class T>
const Kind& kind_of();

}  // namespace moored
