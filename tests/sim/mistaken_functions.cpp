// Mistakes inside functions that have no seam: the linker (--wrap, in tests/CMakeLists.txt) sends
// calls from other files here. Each calls the real function and bends what it is given or gives.
// A member function is one whose first parameter is the object: the ABI passes both alike.
#include <algorithm>

#include "reconciler/core/identity.hpp"
#include "reconciler/core/removal.hpp"
#include "reconciler/diff/merge.hpp"
#include "reconciler/loop/inbox.hpp"
#include "reconciler/store/compaction.hpp"
#include "reconciler/store/revisions.hpp"
#include "runtime/agent/pod_plan.hpp"
#include "tests/sim/planted.hpp"

// Declares the function that is called instead of SYMBOL, and the one that it stands for.
#define MOORED_BENT(result, name, parameters, symbol)                 \
  result real_##name parameters __asm__("__real_" symbol);            \
  result bent_##name parameters __asm__("__wrap_" symbol);            \
  result bent_##name parameters

namespace moored::sim {
namespace {

constexpr int kSeldom = 8;

}  // namespace

MOORED_BENT(Status, write_stage,
            (store::Connection & connection, const store::Stage& stage,
             const store::Sealer& sealer),
            "_ZN6moored5store11write_stageERNS0_10ConnectionERKNS0_5StageERKNS0_6SealerE") {
  if (is_planted(Planted::unwritten_commits) && take_turn() % kSeldom == 0) return {};
  MOORED_CHECK(real_write_stage(connection, stage, sealer));
  if (is_planted(Planted::unaudited_changes) && take_turn() % kSeldom == 0) {
    return connection.run("DELETE FROM audit WHERE seq = (SELECT max(seq) FROM audit)");
  }
  return {};
}

MOORED_BENT(Status, transact,
            (store::Connection * connection, const std::function<Status()>& body),
            "_ZN6moored5store10Connection8transactERKSt8functionIFNS_6ResultIvEEvEE") {
  auto done = real_transact(connection, body);
  if (is_planted(Planted::swallowed_disk_errors)) return {};
  return done;
}

MOORED_BENT(Result<bool>, compact_log,
            (store::Connection & connection, const CompactOptions& options, Now now),
            "_ZN6moored5store11compact_logERNS0_10ConnectionERKNS_14CompactOptionsENS_3NowE") {
  auto more = real_compact_log(connection, options, now);
  if (more && is_planted(Planted::greedy_compaction)) {
    MOORED_CHECK(connection.run("DELETE FROM revision WHERE rv = (SELECT max(rv) FROM revision "
                                "WHERE gvk LIKE '%Pod')"));
  }
  return more;
}

MOORED_BENT(Object, make_recorded, (const Object& declared, const PlanContext& context),
            "_ZN6moored13make_recordedERKNS_6ObjectERKNS_11PlanContextE") {
  const Object made = real_make_recorded(declared, context);
  if (!is_planted(Planted::uid_given_again) || declared.is<Pod>()) return made;
  const std::string name = encode_hash(hash_text(declared.key().text()), 12);
  return with_meta(made, [&](ObjectMeta& meta) {
    meta.uid = "00000000-0000-4000-8000-" + name;
  });
}

MOORED_BENT(void, put_back, (Inbox * inbox, std::vector<PostedFact> facts),
            "_ZN6moored5Inbox8put_backESt6vectorINS_10PostedFactESaIS2_EE") {
  if (!is_planted(Planted::dropped_on_failure)) real_put_back(inbox, std::move(facts));
}

MOORED_BENT(bool, is_orphaned, (const ObjectMeta& meta, const StateView& view),
            "_ZN6moored11is_orphanedERKNS_10ObjectMetaERKNS_9StateViewE") {
  return real_is_orphaned(meta, view) && !is_planted(Planted::orphaned_children);
}

MOORED_BENT(agent::PodPlan, plan_pod,
            (const agent::PodDesired& desired, const agent::PodMemory& memory, Now now,
             const agent::PlanOptions& options),
            "_ZN6moored5agent8plan_podERKNS0_10PodDesiredERKNS0_9PodMemoryENS_3NowERKNS0_11PlanOpti"
            "onsE") {
  agent::PlanOptions bent = options;
  if (is_planted(Planted::hasty_restarts)) bent.back_off_base = Duration::zero();
  auto plan = real_plan_pod(desired, memory, now, bent);
  if (is_planted(Planted::endless_stop)) {
    std::erase_if(plan.actions, [](const agent::Action& action) {
      return action.type == agent::Action::Type::kill;
    });
  }
  if (is_planted(Planted::early_farewell) && plan.memory.stop_since) plan.gone = true;
  return plan;
}

MOORED_BENT(agent::PodMemory, recall, (const Pod& pod, const SandboxReport* found, Now now),
            "_ZN6moored5agent6recallERKNS_3PodEPKNS_13SandboxReportENS_3NowE") {
  auto memory = real_recall(pod, found, now);
  for (auto& [name, container] : memory.containers) {
    const bool runs = container.stage == agent::ContainerStage::running;
    if (is_planted(Planted::forgotten_attempts) && !runs) container.attempt = -1;
    if (is_planted(Planted::forgotten_readiness)) container.readiness = {};
  }
  return memory;
}

}  // namespace moored::sim
