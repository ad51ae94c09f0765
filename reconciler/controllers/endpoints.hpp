// Where the packets of a Service go: pods to Endpoints and EndpointSlices. Pure.
#pragma once

#include <string>
#include <vector>

#include "reconciler/core/controller.hpp"
#include "schema/model/core.hpp"

namespace moored {

// Writes the Endpoints and EndpointSlices that the Service's pods ask for, removes those that
// nothing asks for. A pod that is being deleted is not ready at once. Endpoints that were declared
// for a Service without a selector are repeated as slices.
void plan_endpoints(Plan& plan, const Object& service, const PlanContext& context);
// Removes what a Service left behind.
void drop_endpoints(Plan& plan, const ObjectKey& service, const StateView& view);

}  // namespace moored
