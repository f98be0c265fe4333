package io.llamafu.flink.affinity;

import org.junit.jupiter.api.Test;

import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.SplittableRandom;
import java.util.stream.IntStream;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.withinPercentage;

class StackAffinityTest {
    private static final double LOAD_BOUND = 1.25;
    private static final String HOT = "hot";

    private final SplittableRandom random = new SplittableRandom(7);

    @Test
    void sameRecordsAreSentAlike() {
        List<String> records = records(10_000, 0.3, 500);

        assertThat(send(new StackAffinity(20, LOAD_BOUND), records))
                .isEqualTo(send(new StackAffinity(20, LOAD_BOUND), records));
    }

    @Test
    void rareNamesGoToTheirFirstChoiceWhoeverSendsThem() {
        List<String> records = records(20_000, 0, 1000);

        int[] subtasks = send(new StackAffinity(20, LOAD_BOUND), records);

        long atFirstChoice = IntStream.range(0, subtasks.length)
                .filter(index -> subtasks[index] == Rendezvous.order(records.get(index), 20)[0])
                .count();
        assertThat(atFirstChoice).isGreaterThan(19_000);
    }

    @Test
    void noSubtaskHasMoreThanItsBound() {
        for (double hotShare : new double[] {0, 0.05, 0.3, 1}) {
            int[] subtasks = send(new StackAffinity(50, LOAD_BOUND), records(400_000, hotShare, 300));

            // 8,000 each on average; about 120 of a subtask are remembered
            assertThat(loads(subtasks).values())
                    .as("records of each subtask with a hot name of %s", hotShare)
                    .allMatch(load -> load <= 1.02 * LOAD_BOUND * 8000);
        }
    }

    @Test
    void hotNameIsSpreadAsWideAsItsLoadNeeds() {
        List<String> records = records(100_000, 0.05, 1000);
        int[] subtasks = send(new StackAffinity(50, LOAD_BOUND), records);

        Map<Integer, Long> ofHot = new HashMap<>();
        for (int index = 50_000; index < subtasks.length; index++) {
            if (records.get(index).equals(HOT)) {
                ofHot.merge(subtasks[index], 1L, Long::sum);
            }
        }

        // the load of 2.5 subtasks: more than two, far from all
        assertThat(ofHot).hasSizeBetween(3, 16);
    }

    @Test
    void nameThatWasHotIsRareAgain() {
        StackAffinity affinity = new StackAffinity(10, LOAD_BOUND);
        send(affinity, records(10_000, 0.9, 1000));
        send(affinity, records(10_000, 0, 1000));

        for (int record = 0; record < 5; record++) {
            assertThat(affinity.choose(HOT)).isEqualTo(Rendezvous.order(HOT, 10)[0]);
        }
    }

    @Test
    void firstRecordsOfANameStayTogether() {
        StackAffinity affinity = new StackAffinity(50, LOAD_BOUND);

        assertThat(IntStream.range(0, 4).map(record -> affinity.choose("medical")))
                .containsOnly(Rendezvous.order("medical", 50)[0]);
    }

    @Test
    void recordsThatAnySubtaskCanAnswerFillUp() {
        StackAffinity affinity = new StackAffinity(10, LOAD_BOUND);
        int[] subtasks = send(
                affinity,
                IntStream.range(0, 10_000)
                        .mapToObj(index -> StackAffinity.ANYWHERE)
                        .toList());

        assertThat(loads(subtasks).values()).hasSize(10).allSatisfy(load -> assertThat(load)
                .isCloseTo(1000L, withinPercentage(1)));
    }

    @Test
    void oneSubtaskGetsEverything() {
        assertThat(send(new StackAffinity(1, LOAD_BOUND), records(1000, 0.5, 10)))
                .containsOnly(0);
    }

    @Test
    void boundCloseToTheMeanHasRoomForEveryRecord() {
        int[] subtasks = send(new StackAffinity(50, 1.05), records(200_000, 0.1, 100));

        assertThat(loads(subtasks).values()).allMatch(load -> load <= 1.03 * 1.05 * 4000);
    }

    /** A hot name and, for the rest, other names of equal frequency. */
    private List<String> records(int count, double hotShare, int others) {
        return random.doubles(count)
                .mapToObj(draw -> draw < hotShare ? HOT : "adapter-" + random.nextInt(others))
                .toList();
    }

    private static int[] send(StackAffinity affinity, List<String> records) {
        return records.stream().mapToInt(affinity::choose).toArray();
    }

    private static Map<Integer, Long> loads(int[] subtasks) {
        Map<Integer, Long> loads = new HashMap<>();
        for (int subtask : subtasks) {
            loads.merge(subtask, 1L, Long::sum);
        }
        return loads;
    }
}
