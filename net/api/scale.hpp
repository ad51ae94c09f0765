// The scale of a workload, as autoscaling/v1 words it.
#pragma once

#include "schema/codec/value.hpp"

namespace moored::net::api {

// A Scale made from the encoded workload: replicas wanted and seen, and the selector as text.
Value scale_of(const Value& workload);

}  // namespace moored::net::api
