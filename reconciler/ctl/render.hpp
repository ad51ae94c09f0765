// From the daemon's JSON answers to text for people. Pure: the same answer gives the same text.
#pragma once

#include <string>

#include "schema/base/error.hpp"
#include "schema/base/time.hpp"
#include "schema/codec/value.hpp"

namespace moored::ctl {

// How text is to look.
struct Look {
  bool colour = false;
  Time now{};  // for ages
};

// Sources and units with revision and state, then what is not ready and why.
std::string render_status(const Value& status, const Look& look);
// The receipt of a revision: its commit, outcome and steps with the time between them.
std::string render_trace(const Value& receipt, const Look& look);
// Audit rows, newest first: when, who, what, and each field before and after.
std::string render_history(const Value& history, const Look& look);
// Differences found in the kernel, newest first, and what was done about them.
std::string render_drift(const Value& drift, const Look& look);
// What a commit would change, object by object.
std::string render_plan(const Value& plan, const Look& look);
// The same as Markdown for a comment on a pull request: a table, and details folded in.
std::string render_plan_markdown(const Value& plan);
std::string render_images(const Value& images, const Look& look);
// What a sync found, one line for each source.
std::string render_sync(const Value& result, const Look& look);

// Every error and warning of a directory, and what it holds.
std::string render_validation(const Value& result, const Look& look);

// The doctor's checks, each with what is so and, below it, how to mend it.
std::string render_findings(const Value& findings, const Look& look);

// An age for people: 12s, 3m4s, 5h, 8d.
std::string format_age(Duration age);
// Bytes for people, in powers of 1024: 512 B, 3.4 MiB.
std::string format_size(std::int64_t bytes);

}  // namespace moored::ctl
