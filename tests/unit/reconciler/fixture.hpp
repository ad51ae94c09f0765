// What the reconciler's tests share: a directory of their own, small objects, plans.
#pragma once

#include <stdlib.h>

#include <catch2/catch.hpp>
#include <filesystem>
#include <memory>
#include <string>

#include "reconciler/store/store.hpp"
#include "schema/model/apps.hpp"
#include "schema/model/core.hpp"
#include "schema/model/flux.hpp"
#include "schema/model/pod.hpp"

namespace moored::test {

// A directory on tmpfs where there is one; gone when the test ends, however it ends.
class TestDirectory {
 public:
  TestDirectory() {
    const char* base = std::filesystem::is_directory("/dev/shm") ? "/dev/shm" : "/tmp";
    std::string pattern = std::string(base) + "/moored-test-XXXXXX";
    REQUIRE(::mkdtemp(pattern.data()) != nullptr);
    path_ = pattern;
  }
  ~TestDirectory() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TestDirectory(const TestDirectory&) = delete;
  TestDirectory& operator=(const TestDirectory&) = delete;
  const std::string& path() const { return path_; }
  std::string file(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

inline Now at(std::int64_t seconds) {
  const Duration since = std::chrono::seconds(seconds);
  return {Time(std::chrono::seconds(1'700'000'000)) + since, MonoTime(since)};
}

inline StoreOptions store_options(const TestDirectory& directory) {
  StoreOptions options;
  options.directory = directory.path();
  options.store_id = "0123456789ab";
  return options;
}

inline std::unique_ptr<Store> open_store(const StoreOptions& options) {
  auto opened = Store::open(options);
  if (!opened) FAIL(opened.error().text());
  return *std::move(opened);
}

inline ConfigMap make_config(const std::string& name, const std::string& text) {
  ConfigMap config;
  config.metadata.name = name;
  config.metadata.namespace_name = "default";
  config.data["key"] = text;
  return config;
}

inline Deployment make_deployment(const std::string& name, std::int32_t replicas) {
  Deployment deployment;
  deployment.metadata.name = name;
  deployment.metadata.namespace_name = "default";
  deployment.spec.replicas = replicas;
  deployment.spec.selector = LabelSelector{{{"app", name}}, {}};
  deployment.spec.pod_template.metadata.labels["app"] = name;
  Container container;
  container.name = "main";
  container.image = "registry.example/app:1";
  deployment.spec.pod_template.spec.containers.push_back(container);
  return deployment;
}

inline Pod make_test_pod(const std::string& name, const std::string& owner_uid) {
  Pod pod;
  pod.metadata.name = name;
  pod.metadata.namespace_name = "default";
  pod.metadata.owner_references.push_back({"apps/v1", "ReplicaSet", "set", owner_uid, true, true});
  Container container;
  container.name = "main";
  container.image = "registry.example/app:1";
  pod.spec.containers.push_back(container);
  return pod;
}

template <class T>
Plan put_plan(T value, const std::string& reason = "test") {
  Plan plan;
  plan.put(make_object(std::move(value)), reason);
  return plan;
}

template <class T>
Plan remove_plan(const std::string& name) {
  Plan plan;
  plan.remove(key_of<T>("default", name), "test");
  return plan;
}

inline Cause test_cause() {
  return {Cause::Actor::controller, "tester", "because"};
}

// Records a plan that must be taken.
inline RecordResult record(Store& store, const Plan& plan, Now now = at(0)) {
  auto recorded = store.record(plan, test_cause(), now);
  if (!recorded) FAIL(recorded.error().text());
  return *std::move(recorded);
}

}  // namespace moored::test
