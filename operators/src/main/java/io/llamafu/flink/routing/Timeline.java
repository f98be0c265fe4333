package io.llamafu.flink.routing;

import javax.annotation.Nullable;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;

/** The versions of a rule over event time that records can still need. */
final class Timeline {
    private final List<RuleVersion> versions;
    private boolean trimmed;

    private Timeline(List<RuleVersion> versions, boolean trimmed) {
        this.versions = versions;
        this.trimmed = trimmed;
    }

    /** A null history has no versions. */
    static Timeline of(@Nullable RuleHistory history) {
        return history == null
                ? new Timeline(new ArrayList<>(), false)
                : new Timeline(new ArrayList<>(history.getVersions()), history.getTrimmed());
    }

    /** For storing; a view that changes with this timeline. */
    RuleHistory history() {
        return new RuleHistory(versions, trimmed);
    }

    /** Oldest first. */
    List<RuleVersion> versions() {
        return List.copyOf(versions);
    }

    boolean isEmpty() {
        return versions.isEmpty();
    }

    /** Whether older versions were dropped. */
    boolean trimmed() {
        return trimmed;
    }

    /**
     * Adds a version, replacing one with the same time.
     *
     * @return the replaced version
     */
    Optional<RuleVersion> add(RuleVersion version) {
        int index = newestUntil(version.getValidFrom());
        if (index >= 0 && versions.get(index).getValidFrom() == version.getValidFrom()) {
            return Optional.of(versions.set(index, version));
        }
        versions.add(index + 1, version);
        return Optional.empty();
    }

    /**
     * The newest version at a time. For a time before all versions there is none, unless older versions were dropped:
     * then it is the oldest one left, as the nearest one known.
     */
    Optional<RuleVersion> at(long time) {
        int index = newestUntil(time);
        if (index >= 0) {
            return Optional.of(versions.get(index));
        }
        return trimmed && !versions.isEmpty() ? Optional.of(versions.get(0)) : Optional.empty();
    }

    /** The newest version at a time, even if only late records could need it; empty for a time before all. */
    Optional<RuleVersion> newest(long time) {
        int index = newestUntil(time);
        return index < 0 ? Optional.empty() : Optional.of(versions.get(index));
    }

    /**
     * Drops the versions that no record after this time needs.
     *
     * <p>The newest one stays even if it is a removal, so that a late change with an older time does not undo it.
     *
     * @return the dropped versions
     */
    List<RuleVersion> trim(long time) {
        int index = newestUntil(time);
        if (index <= 0) {
            return List.of();
        }
        List<RuleVersion> old = versions.subList(0, index);
        List<RuleVersion> dropped = List.copyOf(old);
        old.clear();
        trimmed = true;
        return dropped;
    }

    /** The time from which the oldest version can be dropped, if a newer one is known. */
    Optional<Long> nextTrim() {
        return versions.size() < 2
                ? Optional.empty()
                : Optional.of(versions.get(1).getValidFrom());
    }

    /** The time of the removal, if that is the only version left. */
    Optional<Long> removal() {
        return versions.size() == 1 && RuleBook.isRemoval(versions.get(0))
                ? Optional.of(versions.get(0).getValidFrom())
                : Optional.empty();
    }

    private int newestUntil(long time) {
        int low = 0;
        int high = versions.size();
        while (low < high) {
            int middle = (low + high) >>> 1;
            if (versions.get(middle).getValidFrom() <= time) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        return low - 1;
    }
}
