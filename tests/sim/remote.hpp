// The git server and what lies on it: commits that say what the cluster should be.
#pragma once

#include <string>
#include <vector>

#include "schema/ports/source_reader.hpp"
#include "tests/sim/ports.hpp"

namespace moored::sim {

// What one commit asks of the Deployment named web, in numbers.
struct Wish {
  int replicas = 1;
  int surge = 1;
  int unavailable = 0;
  int min_ready_seconds = 0;
  bool with_second = false;     // a second Deployment, named api
  int maps = 1;                 // ConfigMaps beside the anchor, which is in every commit
  std::string image;            // app:good-3 …
  bool broken = false;          // a file of it cannot be read
  bool is_healthy() const;      // everything it asks for can become ready
};

struct SimCommit {
  std::string sha;
  Wish wish;
  std::string yaml;
};

// A random commit; a final one always becomes healthy.
Wish random_wish(Dice& dice, bool final);
SimCommit make_commit(const Wish& wish, std::uint64_t number);

class Remote {
 public:
  std::vector<SimCommit> commits;
  const SimCommit* find(const std::string& sha) const;
};

class SimReader final : public SourceReader {
 public:
  SimReader(const Remote& remote, const SimClock& clock, PortFaults faults)
      : remote_(remote), clock_(clock), faults_(faults) {}
  FetchAnswer fetch(const SourceSpec& source, const std::string& known_sha) override;
  Result<LoadedTree> load(const SourceSpec& source, const LoadRequest& request) override;

 private:
  const Remote& remote_;
  const SimClock& clock_;
  PortFaults faults_;
};

}  // namespace moored::sim
