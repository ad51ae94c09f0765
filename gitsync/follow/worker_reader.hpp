// SourceReader over moored-git: one unprivileged process for each source under way.
#pragma once

#include <chrono>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>

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
    std::chrono::milliseconds idle_limit{15'000};         // without a byte from the server
    std::chrono::milliseconds load_limit{60'000};         // one load in total
    std::size_t max_workers = 16;                         // idle ones above this are ended
    // uid and gid that workers run as and mirrors belong to; none: ours, without capabilities
    std::optional<std::pair<unsigned, unsigned>> user;
  };

  explicit WorkerReader(Options options);
  ~WorkerReader() override;

  // Errors beside the source's own: timeout (FetchTimeout), unavailable (WorkerLost, or stopping).
  Result<SourceHead> fetch(const SourceSpec& source, const std::string& known_sha) override;
  Result<LoadedTree> load(const SourceSpec& source, const LoadRequest& request) override;
  // Loads a directory on disk under the same rules, for a plan of what is not committed yet.
  // directory is absolute. Errors: not_found, denied, as load().
  Result<LoadedTree> load_directory(const std::string& directory,
                                    const std::string& target_namespace);

  // Makes calls under way and later ones return unavailable at once. May be called on any thread.
  void stop();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace moored
