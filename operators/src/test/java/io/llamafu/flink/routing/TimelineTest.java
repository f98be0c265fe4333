package io.llamafu.flink.routing;

import org.junit.jupiter.api.Test;

import static org.assertj.core.api.Assertions.assertThat;

class TimelineTest {

    @Test
    void newestVersionUntilTheTimeHolds() {
        Timeline timeline = timeline(version(20, "b"), version(10, "a"), version(30, null));

        assertThat(timeline.at(9)).isEmpty();
        assertThat(timeline.at(10)).contains(version(10, "a"));
        assertThat(timeline.at(19)).contains(version(10, "a"));
        assertThat(timeline.at(20)).contains(version(20, "b"));
        assertThat(timeline.at(Long.MAX_VALUE)).contains(version(30, null));
    }

    @Test
    void laterWordOfTheSameTimeReplaces() {
        Timeline timeline = timeline(version(10, "a"), version(10, "b"));

        assertThat(timeline.versions()).containsExactly(version(10, "b"));
    }

    @Test
    void trimKeepsWhatHoldsFromThatTimeOn() {
        Timeline timeline = timeline(version(10, "a"), version(20, "b"), version(30, "c"));

        assertThat(timeline.trim(19)).isEmpty();
        assertThat(timeline.trim(25)).containsExactly(version(10, "a"));
        assertThat(timeline.versions()).containsExactly(version(20, "b"), version(30, "c"));
        assertThat(timeline.at(25)).contains(version(20, "b"));
    }

    @Test
    void afterATrimTheOldestLeftAnswersForLateRecords() {
        Timeline timeline = timeline(version(10, "a"), version(20, "b"));
        timeline.trim(20);

        assertThat(timeline.at(5)).contains(version(20, "b"));
    }

    @Test
    void resetToTheDefaultIsNotOutlivedByALateChange() {
        Timeline timeline = timeline(version(10, "a"), version(50, null));
        timeline.trim(60);
        timeline.add(version(30, "late"));
        timeline.trim(60);

        assertThat(timeline.at(70)).contains(version(50, null));
        assertThat(timeline.versions()).hasSize(1);
    }

    @Test
    void historyIsReadBack() {
        Timeline timeline = timeline(version(10, "a"), version(20, "b"));
        timeline.trim(20);

        Timeline read = Timeline.of(timeline.history());
        assertThat(read.versions()).containsExactly(version(20, "b"));
        assertThat(read.trimmed()).isTrue();
    }

    private static Timeline timeline(RuleVersion... versions) {
        Timeline timeline = Timeline.of(null);
        for (RuleVersion version : versions) {
            timeline.add(version);
        }
        return timeline;
    }

    private static RuleVersion version(long validFrom, String stack) {
        return new RuleVersion(validFrom, "*", 0, stack, null);
    }
}
