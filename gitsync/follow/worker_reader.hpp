// SourceReader over moored-git: one unprivileged process for each source under way.
#pragma once

#include <chrono>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "gitsync/follow/mirror_space.hpp"
#include "gitsync/load/selection.hpp"
#include "schema/host/confinement.hpp"
#include "schema/ports/source_reader.hpp"
#include "schema/validate/validate.hpp"

namespace moored {

// Keeps a worker for each source and speaks to it with deadlines. A worker that is late, dies or
// says nonsense is killed and started again with the next request; its caller gets an ordinary
// error. Thread safe; calls for one source wait for each other, those for several run at once.
class WorkerReader final : public SourceReader {
 public:
  struct Options {
    std::string program;                                  // absolute path of moored-git
    std::string mirror_root;                              // one directory for each source below
    AdmissionPolicy policy;
    // By namespace/name of the GitRepository: its pods are judged at least this strictly.
    std::map<std::string, AdmissionPolicy::Level> source_floors;
    std::map<std::string, git::SourceRights> rights;      // by source; * for all others
    std::string host;                                     // of this machine
    std::string secrets_directory;                        // NAMESPACE/NAME/KEY; empty: none
    std::chrono::milliseconds idle_limit{15'000};         // without a byte from the server
    std::chrono::milliseconds load_limit{60'000};         // one load in total
    std::size_t max_workers = 16;                         // idle ones above this are ended
    git::MirrorSpace::Limits space;                       // of mirrors, on disk
    WorkerUser user;  // whom workers run as and mirrors belong to; none: ours, no capabilities
  };

  explicit WorkerReader(Options options);
  ~WorkerReader() override;

  // Errors beside the source's own: timeout (FetchTimeout), unavailable (WorkerLost, or stopping),
  // and those of its credentials (SecretNotFound, SecretExposed, CredentialsRefused).
  FetchAnswer fetch(const SourceSpec& source, const std::string& known_sha) override;
  Result<LoadedTree> load(const SourceSpec& source, const LoadRequest& request) override;
  // Ends the source's worker and removes its mirror.
  void forget(const std::string& id) override;
  // Loads a directory on disk under the same rules, for a plan of what is not committed yet.
  // directory is absolute. Errors: not_found, denied, as load().
  Result<LoadedTree> load_directory(const std::string& directory,
                                    const std::string& target_namespace);

  // Removes the mirrors of all other sources than these (namespace/name), which nobody will ask for
  // again. Before the first call. Errors: denied.
  Status remove_mirrors_except(const std::vector<std::string>& ids);

  // Makes calls under way and later ones return unavailable at once. May be called on any thread.
  void stop();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace moored
