// The daemon's side of moored-unpack.
#pragma once

#include <memory>
#include <string>

#include "runtime/image/unpack.hpp"
#include "schema/host/confinement.hpp"

namespace moored::image {

// The descriptors on which moored-unpack finds the archive, the target directory and, from the
// third on, the directories of the layers below.
inline constexpr int kUnpackSource = 3;
inline constexpr int kUnpackTarget = 4;
inline constexpr int kUnpackFirstLower = 5;

// A seam of the tests. Thread safe.
class Unpacker {
 public:
  virtual ~Unpacker() = default;
  // Blocks until the archive is unpacked or refused. Errors: those of unpack(); unavailable (the
  // worker died), timeout.
  virtual Result<UnpackReport> run(const UnpackRequest& request) = 0;
};

// Starts a fresh worker for each archive. program is an absolute path; the worker becomes the user,
// if one is given, and keeps what layers need: owners, modes, whiteouts.
std::unique_ptr<Unpacker> make_unpack_worker(std::string program, WorkerUser user);

}  // namespace moored::image
