package io.llamafu.examples;

import io.llamafu.flink.RouteRule;
import io.llamafu.flink.RouteVariant;
import org.junit.jupiter.api.Test;

import java.util.List;

import static org.assertj.core.api.Assertions.assertThat;

class CanaryTallyTest {
    @Test
    void candidateThatIsRightLessOftenIsNotAsGood() {
        assertThat(new CanaryTally(100, 90, 20, 18, false).isCandidateAsGood()).isTrue();
        assertThat(new CanaryTally(100, 90, 20, 17, false).isCandidateAsGood()).isFalse();
        assertThat(new CanaryTally(100, 0, 20, 0, false).isCandidateAsGood()).isTrue();
    }

    @Test
    void answersCountForTheStackThatGaveThem() {
        CanaryTally tally =
                CanaryTally.none().plus(true, true).plus(true, false).plus(false, true);

        assertThat(tally).isEqualTo(new CanaryTally(1, 1, 2, 1, false));
    }

    @Test
    void decisionLeavesOneStack() {
        RouteRule open = new CanaryRule("old", "new", 10).toRouteRule();
        RouteRule promoted = new CanaryRule("old", "new", 100).toRouteRule();
        RouteRule rolledBack = new CanaryRule("old", "new", 0).toRouteRule();

        assertThat(open.getStack()).isNull();
        assertThat(open.getVariants()).isEqualTo(List.of(new RouteVariant("old", 90), new RouteVariant("new", 10)));
        assertThat(promoted.getStack()).isEqualTo("new");
        assertThat(rolledBack.getStack()).isEqualTo("old");
        assertThat(List.of(promoted.getName(), rolledBack.getName())).containsOnly(open.getName());
    }
}
