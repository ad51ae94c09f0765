// The real SandboxWatch: compares what runs on this machine with what was made of it.
#pragma once

#include <memory>
#include <string>

#include "schema/ports/sandbox_watch.hpp"

namespace moored::watch {

// Reads the directories that the container part keeps below run_dir/pods; never writes there but
// the file start.json of an attempt.
class KernelWatch final : public SandboxWatch {
 public:
  explicit KernelWatch(std::string run_dir);
  ~KernelWatch() override;

  void remember(const std::string& uid, const std::string& container, int attempt) override;
  void forget(const std::string& uid, const std::string& container) override;
  std::vector<SandboxDrift> look(const std::vector<WatchOrder>& pods) override;
  int descriptor() const override;
  std::vector<WatchHint> take_hints() override;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace moored::watch
