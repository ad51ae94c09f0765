// What the admin socket can ask of this daemon, carried out on its parts.
#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <optional>

#include "reconciler/admin/verbs.hpp"
#include "schema/model/flux.hpp"
#include "schema/ports/fact.hpp"

namespace moored {

struct LookReport;
struct Parts;

// A request to take everything down, handed from the socket's thread to the daemon's.
class DownRequest {
 public:
  // Socket's side: asks, wakes the daemon's thread, and waits for the answer.
  Result<Value> ask(const DownVerb& verb, const std::function<void()>& wake);
  // Daemon's side: the request, if there is one.
  std::optional<DownVerb> find() const;
  void answer(Result<Value> result);

 private:
  mutable std::mutex mutex_;
  std::condition_variable answered_;
  std::optional<DownVerb> verb_;
  std::optional<Result<Value>> result_;
};

class DaemonVerbs final : public AdminVerbs {
 public:
  // wake is called when the daemon's thread has to look at the request. Parts outlive this.
  DaemonVerbs(Parts& parts, DownRequest& down, std::function<void()> wake);

  Result<Value> sync(const SyncVerb& verb, AdminProgress& progress) override;
  Result<Value> exec(const ExecVerb& verb, AdminProgress& progress) override;
  Result<Value> image_import(const ImageImportVerb& verb, AdminProgress& progress) override;
  Result<Value> image_list(const ImageListVerb& verb, AdminProgress& progress) override;
  Result<Value> image_remove(const ImageRemoveVerb& verb, AdminProgress& progress) override;
  Result<Value> plan(const PlanVerb& verb, AdminProgress& progress) override;
  Result<Value> confirm(const ConfirmVerb& verb, AdminProgress& progress) override;
  Result<Value> down(const DownVerb& verb, AdminProgress& progress) override;

 private:
  Result<Value> wait_for_outcome(const LookReport& look,
                                 std::chrono::steady_clock::time_point end,
                                 AdminProgress& progress);
  Result<Value> confirm_recovered();
  Result<TreeLoaded> load_tree(const PlanVerb& verb, const Kustomization& unit);

  Parts& parts_;
  DownRequest& down_;
  std::function<void()> wake_;
};

}  // namespace moored
