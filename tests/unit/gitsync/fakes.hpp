// Recorded state, a reader and a sink for the follower's tests; all in memory.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "schema/model/flux.hpp"
#include "schema/ports/fact.hpp"
#include "schema/ports/source_reader.hpp"
#include "schema/ports/state_view.hpp"

namespace moored::git {

class FakeView final : public StateView {
 public:
  FakeView(std::map<ObjectKey, Object> objects, std::int64_t version)
      : objects_(std::move(objects)), version_(version) {}
  std::int64_t resource_version() const override { return version_; }
  std::optional<Object> find(const ObjectKey& key) const override {
    const auto found = objects_.find(key);
    return found == objects_.end() ? std::nullopt : std::optional(found->second);
  }
  std::vector<Object> list(const Kind& kind, const std::string& space) const override {
    std::vector<Object> found;
    for (const auto& [key, object] : objects_) {
      if (key.kind == &kind && (space.empty() || key.namespace_name == space)) {
        found.push_back(object);
      }
    }
    return found;
  }
  std::vector<Object> list_owned(const Kind&, const std::string&) const override { return {}; }

 private:
  std::map<ObjectKey, Object> objects_;
  std::int64_t version_;
};

// Objects put in by hand; every put wakes the listeners.
class FakeState final : public StateSource, public RevisionSignal {
 public:
  template <class T>
  void put(const T& value) {
    const Object object = make_object(value);
    const std::lock_guard lock(mutex_);
    objects_.insert_or_assign(object.key(), object);
    ++version_;
    for (const auto& [token, listener] : listeners_) listener.first(listener.second, 1);
  }
  void remove(const ObjectKey& key) {
    const std::lock_guard lock(mutex_);
    objects_.erase(key);
    ++version_;
  }
  std::shared_ptr<const StateView> view() const override {
    const std::lock_guard lock(mutex_);
    return std::make_shared<FakeView>(objects_, version_);
  }
  Result<std::vector<Change>> changes_since(const Kind*, std::int64_t, std::size_t) const override {
    return std::vector<Change>{};
  }
  Result<std::shared_ptr<const StateView>> view_at(std::int64_t) const override { return view(); }
  int subscribe(Listener listener, void* context) override {
    const std::lock_guard lock(mutex_);
    listeners_[++tokens_] = {listener, context};
    return tokens_;
  }
  void unsubscribe(int token) override {
    const std::lock_guard lock(mutex_);
    listeners_.erase(token);
  }

 private:
  mutable std::mutex mutex_;
  std::map<ObjectKey, Object> objects_;
  std::int64_t version_ = 1;
  std::map<int, std::pair<Listener, void*>> listeners_;
  int tokens_ = 0;
};

class FakeSink final : public FactSink {
 public:
  void post(Fact fact, Cause cause) override {
    const std::lock_guard lock(mutex_);
    facts_.emplace_back(std::move(fact), std::move(cause));
  }
  // The facts since the last call, each as one line.
  std::vector<std::string> take();
  // The last tree that was posted.
  TreeLoaded last_tree() const;
  Cause last_cause() const {
    const std::lock_guard lock(mutex_);
    return facts_.back().second;
  }

 private:
  mutable std::mutex mutex_;
  std::vector<std::pair<Fact, Cause>> facts_;
  std::size_t taken_ = 0;
};

inline std::vector<std::string> FakeSink::take() {
  const std::lock_guard lock(mutex_);
  std::vector<std::string> lines;
  for (; taken_ < facts_.size(); ++taken_) {
    const Fact& fact = facts_[taken_].first;
    if (const auto* source = std::get_if<SourceObserved>(&fact)) {
      lines.push_back("source " + source->source.name + ' ' +
                      (source->error ? "error " + source->error->reason : source->revision) +
                      (source->history_rewritten ? " rewritten" : ""));
    } else if (const auto* tree = std::get_if<TreeLoaded>(&fact)) {
      lines.push_back("tree " + tree->unit.name + ' ' + tree->revision +
                      (tree->complete ? " complete" : " refused"));
    }
  }
  return lines;
}

inline TreeLoaded FakeSink::last_tree() const {
  const std::lock_guard lock(mutex_);
  for (auto fact = facts_.rbegin(); fact != facts_.rend(); ++fact) {
    if (const auto* tree = std::get_if<TreeLoaded>(&fact->first)) return *tree;
  }
  return {};
}

// Time that moves only when told to.
class FakeClock final : public Clock {
 public:
  Now now() const override {
    const std::lock_guard lock(mutex_);
    return now_;
  }
  void advance(Duration by) {
    const std::lock_guard lock(mutex_);
    now_.wall += by;
    now_.mono += by;
  }

 private:
  mutable std::mutex mutex_;
  Now now_{Time(std::chrono::hours(400'000)), MonoTime(std::chrono::hours(1))};
};

// Answers from functions, and remembers what it was asked.
class FakeReader final : public SourceReader {
 public:
  std::function<Result<SourceHead>(const SourceSpec&, const std::string&)> on_fetch;
  std::function<Result<LoadedTree>(const SourceSpec&, const LoadRequest&)> on_load =
      [](const SourceSpec&, const LoadRequest&) {
        LoadedTree tree;
        tree.complete = true;
        return tree;
      };

  FetchAnswer fetch(const SourceSpec& source, const std::string& known) override {
    note("fetch " + source.url + ' ' + source.reference + " known=" + known.substr(0, 4) +
         (source.allow_local ? " local" : ""));
    return on_fetch(source, known);
  }
  Result<LoadedTree> load(const SourceSpec& source, const LoadRequest& request) override {
    note("load " + request.sha.substr(0, 4) + ' ' + request.path +
         (request.target_namespace.empty() ? "" : " in " + request.target_namespace));
    return on_load(source, request);
  }
  void forget(const std::string& id) override { note("forget " + id); }
  std::vector<std::string> take() {
    const std::lock_guard lock(mutex_);
    return std::exchange(asked_, {});
  }

 private:
  void note(std::string line) {
    const std::lock_guard lock(mutex_);
    asked_.push_back(std::move(line));
  }

  std::mutex mutex_;
  std::vector<std::string> asked_;
};

// A GitRepository and a Kustomization as people write them.
inline GitRepository repository_named(const std::string& name, const std::string& url) {
  GitRepository repository;
  repository.metadata.name = name;
  repository.metadata.namespace_name = "flux";
  repository.metadata.generation = 1;
  repository.spec.url = url;
  repository.spec.interval = "10s";
  repository.spec.ref = GitRepositoryRef{"main", {}, {}, {}};
  return repository;
}
inline Kustomization unit_named(const std::string& name, const std::string& source) {
  Kustomization unit;
  unit.metadata.name = name;
  unit.metadata.namespace_name = "flux";
  unit.metadata.generation = 1;
  unit.spec.path = "./" + name;
  unit.spec.source_ref.kind = "GitRepository";
  unit.spec.source_ref.name = source;
  return unit;
}

}  // namespace moored::git
