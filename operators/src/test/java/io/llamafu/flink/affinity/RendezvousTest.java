package io.llamafu.flink.affinity;

import org.junit.jupiter.api.Test;

import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;
import java.util.stream.IntStream;

import static org.assertj.core.api.Assertions.assertThat;

class RendezvousTest {
    private static final List<String> NAMES =
            IntStream.range(0, 5000).mapToObj(index -> "adapter-" + index).toList();

    @Test
    void everySubtaskHasOnePlace() {
        int[] order = Rendezvous.order("medical", 1000);

        assertThat(Arrays.stream(order).sorted().toArray())
                .containsExactly(IntStream.range(0, 1000).toArray());
    }

    @Test
    void firstChoicesAreSpreadEvenly() {
        Map<Integer, Long> names =
                NAMES.stream().collect(Collectors.groupingBy(name -> first(name, 50), Collectors.counting()));

        // 100 each in the mean, with a standard deviation of 10
        assertThat(names).hasSize(50).allSatisfy((subtask, count) -> assertThat(count)
                .isBetween(55L, 145L));
    }

    @Test
    void oneMoreSubtaskTakesItsShareAndMovesNothingElse() {
        List<String> moved = NAMES.stream()
                .filter(name -> first(name, 50) != first(name, 51))
                .toList();

        // a 51st of 5,000
        assertThat(moved).hasSizeBetween(50, 150);
        assertThat(moved).allMatch(name -> first(name, 51) == 50);
    }

    @Test
    void neighboursOfAChoiceFollowIt() {
        for (String name : NAMES.subList(0, 100)) {
            int[] order = Rendezvous.order(name, 50);
            List<Integer> nearFirst = Arrays.stream(order)
                    .filter(subtask -> subtask / 4 == order[0] / 4)
                    .boxed()
                    .toList();

            assertThat(Arrays.stream(order).limit(nearFirst.size()).boxed()).containsExactlyElementsOf(nearFirst);
        }
    }

    private static int first(String name, int subtasks) {
        return Rendezvous.order(name, subtasks)[0];
    }
}
