// What an object would be if it were declared, for dry runs of the API.
#include "reconciler/daemon/preview.hpp"

#include <catch2/catch.hpp>

#include "tests/unit/reconciler/fixture.hpp"

namespace moored::test {
namespace {

TEST_CASE("preview: what only moored writes is taken over, the rest is as declared", "[preview]") {
  TestDirectory directory;
  const auto store = open_store(store_options(directory));
  auto recorded = make_deployment("web", 1);
  recorded.status.replicas = 1;
  record(*store, put_plan(recorded));
  const auto view = store->view();
  const auto before = view->find(key_of<Deployment>("default", "web"));
  REQUIRE(before);
  const DeclaredPreview preview{AdmissionPolicy{}};
  const auto after = preview.preview(make_object(make_deployment("web", 3)), *view);
  REQUIRE(after);
  CHECK(after->as<Deployment>().spec.replicas == 3);
  CHECK(after->as<Deployment>().status.replicas == 1);
  CHECK(after->meta().uid == before->meta().uid);
  CHECK(after->meta().resource_version == before->meta().resource_version);
  // Nothing was recorded by looking.
  CHECK(store->view()->resource_version() == view->resource_version());
  const auto fresh = preview.preview(make_object(make_deployment("other", 2)), *view);
  REQUIRE(fresh);
  CHECK(fresh->meta().uid.empty());
}

TEST_CASE("preview: what a commit would be refused for is refused", "[preview]") {
  TestDirectory directory;
  const auto store = open_store(store_options(directory));
  record(*store, put_plan(make_deployment("web", 1)));
  const auto view = store->view();
  const DeclaredPreview preview{AdmissionPolicy{}};
  auto moved = make_deployment("web", 1);
  moved.spec.selector = LabelSelector{{{"app", "other"}}, {}};
  const auto immutable = preview.preview(make_object(moved), *view);
  REQUIRE_FALSE(immutable);
  CHECK(immutable.error().text().find("selector") != std::string::npos);
  auto host = make_deployment("host", 1);
  host.spec.pod_template.spec.host_network = true;
  CHECK_FALSE(preview.preview(make_object(host), *view));
  AdmissionPolicy open;
  open.default_level = AdmissionPolicy::Level::privileged;
  CHECK(DeclaredPreview(open).preview(make_object(host), *view));
}

}  // namespace
}  // namespace moored::test
