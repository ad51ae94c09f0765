// Containers whose image is on its way: what they show, when they ask again, and with what.
#include <catch2/catch.hpp>

#include "runtime/agent/pull_secrets.hpp"
#include "schema/model/core.hpp"
#include "tests/unit/runtime/agent_fakes.hpp"

using namespace moored;
using namespace moored::test;
using std::chrono::seconds;

namespace {

Pod make_pulling_pod(const std::string& name, const std::string& image = "r.example/web:1") {
  Pod pod = make_pod(name);
  pod.spec.containers[0].image = image;
  return pod;
}

const ContainerStatus& main_status(const Pod& pod) {
  static const ContainerStatus none;
  const auto& all = pod.status.container_statuses;
  return all.empty() ? none : all[0];
}

std::string waiting_reason(const Pod& pod) {
  const auto& state = main_status(pod).state;
  return state.waiting ? state.waiting->reason : "none";
}

// A pod that waits for its image.
struct Bench : AgentBench {
  Bench() {
    images.has_registry = true;
    store.put(make_object(make_pulling_pod("web")));
    settle();
  }
  void succeed(const std::string& name = "web") {
    ImageReport image = images.images["busybox:1"];
    image.name = "r.example/web:1";
    image.size_bytes = 12345;
    images.answers.emplace("uid-" + name + "/main/0",
                           ObtainedImage{image, true, std::chrono::milliseconds(1250),
                                         std::chrono::milliseconds(20)});
  }
  void refuse() {
    images.answers.emplace("uid-web/main/0",
                           Result<ObtainedImage>(Unexpected(
                               Error{Code::not_found, "no such image", "ErrImagePull", {}, {}})));
  }
};

}  // namespace

TEST_CASE("a container waits for its image without holding anything up", "[agent]") {
  Bench bench;
  CHECK(waiting_reason(bench.store.pod("web")) == "ContainerCreating");
  CHECK(bench.images.requests.size() == 1);
  CHECK(bench.images.requests[0].policy == "IfNotPresent");
  bench.store.put(make_object(make_pod("other")));
  bench.run_for(seconds(1000));
  CHECK(bench.store.pod("other").status.phase == "Running");
  // Nobody asks in vain meanwhile.
  CHECK(bench.images.requests.size() == 2);
  CHECK(bench.store.count_events("Pulling") == 1);

  bench.succeed();
  bench.agent->settle_image("r.example/web:1");
  bench.settle();
  CHECK(bench.store.pod("web").status.phase == "Running");
  CHECK(main_status(bench.store.pod("web")).image == "r.example/web:1");
  CHECK(main_status(bench.store.pod("web")).image_id ==
        "r.example/web@" + bench.images.images["busybox:1"].digest);
  CHECK(bench.store.event_text("Pulling") == "Pulling image \"r.example/web:1\"");
  std::vector<std::string> pulled;
  for (const auto& event : bench.store.events) {
    if (event.reason == "Pulled") pulled.push_back(event.message);
  }
  REQUIRE(pulled.size() == 2);
  CHECK(pulled[0] == "Container image \"busybox:1\" already present on machine");
  CHECK(pulled[1] == "Successfully pulled image \"r.example/web:1\" in 1.250s (20ms including "
                     "waiting). Image size: 12345 bytes.");
}

TEST_CASE("a pull that failed is backed off from, and other pulls do not cut that short",
          "[agent]") {
  Bench bench;
  bench.refuse();
  bench.agent->settle_image("r.example/web:1");
  bench.settle();
  CHECK(waiting_reason(bench.store.pod("web")) == "ErrImagePull");
  CHECK(main_status(bench.store.pod("web")).state.waiting->message == "no such image");
  CHECK(bench.store.count_events("Pulling") == 1);
  bench.run_for(seconds(5));
  CHECK(waiting_reason(bench.store.pod("web")) == "ImagePullBackOff");
  const auto asked = bench.images.requests.size();
  bench.agent->settle_image("r.example/web:1");
  bench.agent->settle_image("r.example/other:1");
  bench.run_for(seconds(1));
  CHECK(bench.images.requests.size() == asked);
  bench.run_for(seconds(6));
  CHECK(bench.images.requests.size() == asked + 1);
  CHECK(bench.store.count_events("Pulling") == 2);
  // The words of the failure stay until the next answer.
  CHECK(waiting_reason(bench.store.pod("web")) == "ImagePullBackOff");
  bench.refuse();
  bench.agent->settle_image("r.example/web:1");
  bench.run_for(seconds(19));
  CHECK(bench.images.requests.size() == asked + 2);
  bench.run_for(seconds(2));
  CHECK(bench.images.requests.size() == asked + 3);
}

TEST_CASE("an image that was refused has a good name all the same", "[agent]") {
  Bench bench;
  bench.images.answers.emplace(
      "uid-web/main/0", Result<ObtainedImage>(Unexpected(Error{
                            Code::invalid, "LayerEscape: no", "ErrImagePull", {}, {}})));
  bench.agent->settle_image("r.example/web:1");
  bench.settle();
  CHECK(waiting_reason(bench.store.pod("web")) == "ErrImagePull");
}

TEST_CASE("a pod that is deleted while its image comes goes at once", "[agent]") {
  Bench bench;
  Pod pod = bench.store.pod("web");
  pod.metadata.deletion_timestamp = bench.clock.now().wall;
  pod.metadata.deletion_grace_period_seconds = 30;
  bench.store.put(make_object(pod));
  bench.run_for(seconds(1));
  CHECK_FALSE(bench.store.has_pod("web"));
  bench.agent->settle_image("r.example/web:1");
  bench.settle();
}

TEST_CASE("an image that came before its container knew is not waited for", "[agent]") {
  // The answer is there when the pull is first spoken of: a fake that settles inside the call.
  struct Eager final : ImageStore {
    Result<ImageReport> find(const std::string&) override { return fail(Code::not_found, "no"); }
    Result<std::vector<ImageReport>> list() override { return std::vector<ImageReport>{}; }
    Result<ObtainedImage> obtain(const ImageRequest& request) override {
      if (asked++ > 0) return ObtainedImage{image, true, {}, {}};
      agent->settle_image(request.reference);
      return Unexpected(Error{Code::unavailable, "on its way", kPullingReason, {}, {}});
    }
    ImageReport image;
    Agent* agent = nullptr;
    int asked = 0;
  };
  // Jobs run only when told to, as threads do that are slower than the agent.
  struct Late final : Executor {
    void submit(Lane, Job job) override { jobs.push_back(std::move(job)); }
    void run() {
      auto now = std::move(jobs);
      jobs.clear();
      for (auto& job : now) job();
    }
    std::vector<Job> jobs;
  };
  AgentBench bench;
  Eager eager;
  eager.image = bench.images.images["busybox:1"];
  Late late;
  AgentOptions options;
  options.state_dir = bench.scratch.path() + "/state";
  options.run_dir = bench.scratch.path() + "/run";
  options.log_dir = bench.scratch.path() + "/log";
  options.node.name = "node-1";
  options.node.address = "192.0.2.1";
  Agent agent(options,
              AgentPorts{bench.store, bench.sandbox, bench.network, eager, bench.store,
                         bench.clock},
              late);
  eager.agent = &agent;
  bench.store.put(make_object(make_pulling_pod("web")));
  for (int i = 0; i < 20; ++i) {
    agent.step(bench.clock.now());
    late.run();
  }
  CHECK(eager.asked == 2);
  CHECK(bench.store.pod("web").status.phase == "Running");
}

// ---- secrets ----

namespace {

void put_secret(FakeStore& store, const std::string& name, const std::string& type,
                const std::string& key, const std::string& text,
                const std::string& name_space = "default") {
  Secret secret;
  secret.metadata.name = name;
  secret.metadata.namespace_name = name_space;
  secret.type = type;
  secret.data[key] = text;
  store.put(make_object(std::move(secret)));
}

}  // namespace

TEST_CASE("the pod's secrets are read, or its account's", "[agent]") {
  FakeStore store;
  put_secret(store, "one", "kubernetes.io/dockerconfigjson", ".dockerconfigjson", "1");
  put_secret(store, "two", "kubernetes.io/dockercfg", ".dockercfg", "2");
  put_secret(store, "opaque", "Opaque", ".dockerconfigjson", "3");
  put_secret(store, "foreign", "kubernetes.io/dockerconfigjson", ".dockerconfigjson", "4", "other");
  ServiceAccount account;
  account.metadata.name = "default";
  account.metadata.namespace_name = "default";
  account.image_pull_secrets.push_back({"two"});
  store.put(make_object(account));

  Pod pod = make_pod("p");
  auto read = agent::read_pull_secrets(pod, *store.view());
  CHECK(read.texts == std::vector<std::string>{"2"});
  pod.spec.image_pull_secrets = {{"one"}, {"absent"}, {"opaque"}, {"foreign"}};
  read = agent::read_pull_secrets(pod, *store.view());
  CHECK(read.texts == std::vector<std::string>{"1"});
  CHECK(read.missing == std::vector<std::string>{"absent", "opaque", "foreign"});
  pod.spec.image_pull_secrets.clear();
  pod.spec.service_account_name = "builder";
  CHECK(agent::read_pull_secrets(pod, *store.view()).texts.empty());
}

TEST_CASE("secrets reach the pull, and missing ones are told once", "[agent]") {
  AgentBench bench;
  bench.images.has_registry = true;
  put_secret(bench.store, "one", "kubernetes.io/dockerconfigjson", ".dockerconfigjson", "text");
  Pod pod = make_pulling_pod("web");
  pod.spec.image_pull_secrets = {{"one"}, {"absent"}};
  bench.store.put(make_object(pod));
  bench.settle();
  REQUIRE(bench.images.requests.size() == 1);
  CHECK(bench.images.requests[0].credentials == std::vector<std::string>{"text"});
  CHECK(bench.store.count_events("FailedToRetrieveImagePullSecret") == 1);
  CHECK(bench.store.event_text("FailedToRetrieveImagePullSecret") ==
        "Unable to retrieve some image pull secrets (absent); attempting to pull the image may "
        "not succeed.");
}
