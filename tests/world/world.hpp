// A whole control plane in memory: the pure core, a queue, a clock that the test moves, and an
// agent that does what it is told.
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "reconciler/core/reduce.hpp"
#include "tests/world/memory_store.hpp"

namespace moored::test {

inline constexpr const char* kSha1 = "1111111111111111111111111111111111111111";
inline constexpr const char* kSha2 = "2222222222222222222222222222222222222222";

// 2026-01-02T03:04:05Z, the moment at which every world begins.
inline Time start_time() { return *parse_time("2026-01-02T03:04:05Z"); }

// Manifests in YAML to objects, with defaults; a failing check of the test when one is wrong.
std::vector<Object> read_manifests(const std::string& yaml, const std::string& file = "app.yaml");
// A revision text for a commit.
std::string revision_of(const std::string& sha);
// A Deployment manifest with one container named as the Deployment.
std::string deployment_yaml(const std::string& name, int replicas, const std::string& image,
                            const std::string& more_spec = {}, const std::string& more_pod = {});

class World {
 public:
  // With a node of 4 cpus, 8 GiB and 110 pods, and the unit moored-system/default.
  explicit World(bool with_node = true);

  MemoryStore store;
  ReduceOptions options;
  Time now = start_time();
  std::vector<EventNote> events;        // every note of every plan
  std::vector<ReceiptStep> receipt;
  std::vector<Write> writes;            // of every plan, in order
  std::function<void()> after_each;     // called after every recorded plan

  PlanContext context() const;
  // Posts a fact and records its plan. Nothing else runs.
  Plan post(const Fact& fact);
  // The source names a revision and the unit's tree is loaded from manifests.
  Plan commit(const std::string& yaml, const std::string& sha = kSha1);
  Plan commit_objects(std::vector<Object> objects, const std::string& sha = kSha1);
  // The tree of a revision as a fact, without posting it.
  TreeLoaded tree(std::vector<Object> objects, const std::string& sha) const;

  // Runs controllers until the queue is empty. Fails the test after a limit of steps.
  void settle();
  // Runs the controller of the n-th waiting key (modulo). False: nothing waits.
  bool step(std::size_t n = 0);
  std::size_t waiting() const { return queue_.size(); }
  // Moves the clock and wakes what asked to be called by then.
  void advance(Duration duration);
  // Wakes every object, as a start of the daemon does.
  void wake_all();

  // The agent starts bound pods, makes them ready and finishes the deleted ones, once.
  void run_agent();
  // settle and run_agent until nothing changes.
  void converge();
  // Tells the status of one pod.
  void report(const Object& pod, const std::string& phase, bool ready,
              const std::string& waiting_reason = {});
  void report_gone(const Object& pod);
  // Images for which the agent reports ErrImagePull instead of starting them.
  std::set<std::string> missing_images;

  template <class T>
  T get(const std::string& name, const std::string& space = "default") const {
    const Kind& kind = kind_of<T>();
    const auto found = store.find({&kind, kind.namespaced ? space : std::string(), name});
    MOORED_ASSERT(found.has_value());
    return found->as<T>();
  }
  template <class T>
  std::vector<T> all(const std::string& space = "default") const {
    std::vector<T> found;
    const Kind& kind = kind_of<T>();
    for (const Object& object : store.list(kind, kind.namespaced ? space : std::string())) {
      found.push_back(object.as<T>());
    }
    return found;
  }
  // Pods that are neither finished nor being deleted.
  std::vector<Object> active_pods(const std::string& space = "default") const;
  int count_ready(const std::string& space = "default") const;

 private:
  void record(const Plan& plan);
  void wake(const Object& changed);
  void enqueue(const ObjectKey& key);

  std::vector<std::unique_ptr<Controller>> controllers_;
  std::deque<ObjectKey> queue_;
  std::multimap<Time, ObjectKey> later_;
  int next_address_ = 1;
};

}  // namespace moored::test
