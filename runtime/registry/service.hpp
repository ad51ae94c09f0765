// moored-pull's end of the conversation with the daemon.
#pragma once

#include "schema/host/frame_channel.hpp"

namespace moored::registry {

// Answers what comes until the daemon's end is closed. Errors: corrupt, unavailable.
Status serve(const FrameChannel& channel);

}  // namespace moored::registry
