// Metrics: the text format to the letter, the conventions of names, and what is counted.
#include "net/api/metrics_text.hpp"

#include <catch2/catch.hpp>

#include <limits>

#include "net/api/request_meter.hpp"
#include "tests/unit/net/api_fake.hpp"
#include "tests/unit/net/api_objects.hpp"
#include "tests/unit/net/metric_rules.hpp"

namespace moored::net::api {
namespace {

using test::MetricRules;
using Strings = std::vector<std::string>;

TEST_CASE("metrics: the text is what the format asks for") {
  Histogram histogram({0.5, 2});
  for (const double value : {0.25, 0.5, 1.0, 64.0})
    histogram.observe(value);
  const std::vector<MetricFamily> families{
      {MetricType::gauge, "a_bytes", "Line one\nback\\slash \"kept\".", {{{}, 1024}}, {}},
      {MetricType::counter, "b_total", "B.", {{{{"name", "say \"x\"\n\\"}, {"b", ""}}, 0.1}}, {}},
      {MetricType::gauge, "nothing", "Left out.", {}, {}},
      {MetricType::histogram,
       "c_seconds",
       "C.",
       {},
       {{{{"a", "1"}}, histogram.bounds(), histogram.counts(), histogram.sum()}}},
  };
  CHECK(write_metrics(families) ==
        "# HELP a_bytes Line one\\nback\\\\slash \"kept\".\n"
        "# TYPE a_bytes gauge\n"
        "a_bytes 1024\n"
        "# HELP b_total B.\n"
        "# TYPE b_total counter\n"
        "b_total{name=\"say \\\"x\\\"\\n\\\\\",b=\"\"} 0.1\n"
        "# HELP c_seconds C.\n"
        "# TYPE c_seconds histogram\n"
        "c_seconds_bucket{a=\"1\",le=\"0.5\"} 2\n"
        "c_seconds_bucket{a=\"1\",le=\"2\"} 3\n"
        "c_seconds_bucket{a=\"1\",le=\"+Inf\"} 4\n"
        "c_seconds_sum{a=\"1\"} 65.75\n"
        "c_seconds_count{a=\"1\"} 4\n");
  CHECK(MetricRules(write_metrics(families)).breaches() == Strings{});
}

TEST_CASE("metrics: numbers read back as they were") {
  const auto text_of = [](double value) {
    const auto text = write_metrics({make_gauge("x", "X.").add({}, value)});
    const auto line = text.substr(text.rfind("\nx ") + 3);
    return line.substr(0, line.size() - 1);
  };
  for (const double value : {0.0, 1.0 / 3, 1e300, 5e-324, 1763644433.123456, 9007199254740991.0}) {
    CHECK(std::strtod(text_of(value).c_str(), nullptr) == value);
  }
  CHECK(text_of(std::numeric_limits<double>::infinity()) == "+Inf");
  CHECK(text_of(-std::numeric_limits<double>::infinity()) == "-Inf");
  CHECK(text_of(std::nan("")) == "NaN");
}

// The rules are used to judge the daemon, so they must see what they are for.
TEST_CASE("metrics: the rules find each kind of breach") {
  const std::string head = "# HELP x_total X.\n# TYPE x_total counter\n";
  for (const std::string& text : Strings{
           "# HELP x_total X.\n# TYPE x_total gauge\nx_total 1\n",
           "# HELP x X.\n# TYPE x counter\nx 1\n",
           "# HELP x_ms X.\n# TYPE x_ms gauge\nx_ms 1\n",
           "# HELP x_count X.\n# TYPE x_count gauge\nx_count 1\n",
           "# HELP x X.\nx 1\n",
           "# TYPE x gauge\nx 1\n",
           head + "x_total 1\nx_total 2\n",
           head + "x_total -1\n",
           head + "y_total 1\n",
           head + "x_total 1",
           head + "x_total{a=\"\n\"} 1\n",
           head + "x_total one\n",
           head + "x_total 1\n" + head + "x_total{a=\"b\"} 1\n",
           "# HELP h H.\n# TYPE h histogram\nh_bucket{le=\"1\"} 2\nh_sum 1\nh_count 2\n",
           "# HELP h H.\n# TYPE h histogram\nh_bucket{le=\"1\"} 2\nh_bucket{le=\"+Inf\"} 1\n"
           "h_sum 1\nh_count 1\n",
       }) {
    INFO(text);
    CHECK_FALSE(MetricRules(text).breaches().empty());
  }
  CHECK(MetricRules(head + "x_total 1\n").breaches() == Strings{});
}

TEST_CASE("metrics: the API's own families follow the rules and count") {
  test::FakeApi api;
  api.state.put(test::make_pod("web"));
  api.get("/api/v1/pods");
  api.get("/api/v1/pods");
  const auto response = api.get("/metrics");
  CHECK(response.content_type == kMetricsType);
  const MetricRules rules(*response.body);
  CHECK(rules.breaches() == Strings{});
  CHECK(rules.value("moored_store_resource_version") == 1);
  CHECK(rules.value("moored_api_streams") == 0);
  CHECK(rules.value("moored_api_encoding_lookups_total{result=\"hit\"}") == 1);
  CHECK(rules.value("moored_api_encoding_lookups_total{result=\"miss\"}") == 1);
  CHECK(rules.value("moored_objects{group=\"\",kind=\"Pod\"}") == 1);
}

TEST_CASE("metrics: other parts are measured when somebody asks") {
  struct Part final : MetricSource {
    int asked = 0;
    void measure(std::vector<MetricFamily>& out) override {
      out.push_back(make_gauge("moored_part", "A part.").add({}, ++asked));
    }
  } part;
  test::FakeApi api;
  api.context.meters = {&part};
  CHECK(part.asked == 0);
  CHECK(MetricRules(*api.get("/metrics").body).value("moored_part") == 1);
  CHECK(MetricRules(*api.get("/metrics").body).value("moored_part") == 2);
}

TEST_CASE("metrics: requests are counted under few names, whatever is asked") {
  RequestMeter meter;
  const auto count = [&](std::string method, std::string path, std::string query, int status) {
    Request request;
    request.method = std::move(method);
    request.path = std::move(path);
    request.query = std::move(query);
    meter.count(request, status, std::chrono::milliseconds(3));
  };
  count("GET", "/api/v1/pods", "limit=500", 200);
  count("GET", "/api/v1/pods", "watch=true", 200);
  count("GET", "/apis/apps/v1/deployments", "allowWatchBookmarks=true&watch=1", 200);
  count("GET", "/api/v1/namespaces/shop/pods/web/log", "", 200);
  count("DELETE", "/api/v1/namespaces/shop/pods/web", "", 405);
  for (int i = 0; i < 1000; ++i) {
    count("X" + std::to_string(i), "/" + std::to_string(i) + "/x", "", 404);
  }
  meter.count_refused(431);
  std::vector<MetricFamily> families;
  meter.measure(families);
  const MetricRules rules(write_metrics(families));
  CHECK(rules.breaches() == Strings{});
  const auto requests = [&](const std::string& labels) {
    return rules.value("moored_api_requests_total{" + labels + "}");
  };
  CHECK(requests(R"(method="GET",route="api",code="200")") == 1);
  CHECK(requests(R"(method="GET",route="watch",code="200")") == 2);
  CHECK(requests(R"(method="GET",route="log",code="200")") == 1);
  CHECK(requests(R"(method="DELETE",route="api",code="405")") == 1);
  CHECK(requests(R"(method="other",route="other",code="404")") == 1000);
  CHECK(families[0].samples.size() == 5);
  CHECK(rules.value("moored_api_refused_requests_total{code=\"431\"}") == 1);
  CHECK(rules.value("moored_api_request_duration_seconds_bucket{route=\"api\",le=\"0.0025\"}") ==
        0);
  CHECK(rules.value("moored_api_request_duration_seconds_bucket{route=\"api\",le=\"0.005\"}") == 2);
}

}  // namespace
}  // namespace moored::net::api
