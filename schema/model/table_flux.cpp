// Flux's own columns: Age, Ready and Status, with the address before them for sources.
#include "schema/model/flux.hpp"
#include "schema/model/table_cells.hpp"

namespace moored {
namespace {

// Before the first try there is no condition: Unknown.
void add_ready_cells(const std::vector<Condition>& conditions, std::vector<Cell>& cells) {
  const auto* ready = find_condition(conditions, "Ready");
  cells.push_back(Cell::of(ready == nullptr ? "Unknown" : ready->status));
  cells.push_back(Cell::of(ready == nullptr ? "" : ready->message));
}

// In the order in which Flux prints them.
std::vector<Cell> git_repository_cells(const Object& object, Time now) {
  const auto& repository = object.as<GitRepository>();
  std::vector<Cell> cells{name_cell(object), Cell::of(repository.spec.url),
                          age_cell(object, now)};
  add_ready_cells(repository.status.conditions, cells);
  return cells;
}

// In the order in which Flux prints them.
std::vector<Cell> kustomization_cells(const Object& object, Time now) {
  std::vector<Cell> cells{name_cell(object), age_cell(object, now)};
  add_ready_cells(object.as<Kustomization>().status.conditions, cells);
  return cells;
}

constexpr Column kReadyColumn = text_column("Ready", "Whether the last try succeeded.");
constexpr Column kStatusColumn = text_column("Status", "What came of the last try.");

constexpr Column kGitRepositoryColumns[] = {
    kNameColumn, text_column("URL", "Where the repository is."), kAgeColumn, kReadyColumn,
    kStatusColumn};
constexpr Column kKustomizationColumns[] = {kNameColumn, kAgeColumn, kReadyColumn, kStatusColumn};

}  // namespace

const TableFormat kGitRepositoryTable{kGitRepositoryColumns, &git_repository_cells};
const TableFormat kKustomizationTable{kKustomizationColumns, &kustomization_cells};

}  // namespace moored
