package io.llamafu.examples.benchmark;

import io.llamafu.examples.benchmark.AffinitySimulation.Dealing;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Spec;

import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.concurrent.Callable;

/** How often a record finds its adapter in memory, and how evenly the records are distributed. A simulation. */
@Command(
        name = "affinity",
        description = {
            "Thousands of adapters on many TaskManagers: how often a record finds its adapter in"
                    + " memory, and how evenly records are distributed, with affinity(...), keyBy(tenant),"
                    + " rebalance() and keyBy(stack).",
            "",
            "A simulation with the real partitioner, one for each router subtask; no model runs."
        },
        mixinStandardHelpOptions = true,
        showDefaultValues = true,
        sortOptions = false)
final class AffinityBenchmark implements Callable<Integer> {
    @Option(names = "--adapters", paramLabel = "N", defaultValue = "5000", description = "Number of adapters.")
    private int adapters;

    @Option(
            names = "--tenants",
            paramLabel = "N",
            defaultValue = "20000",
            description = "Number of tenants, at least as many as adapters. Each has one adapter.")
    private int tenants;

    @Option(
            names = "--exponent",
            paramLabel = "X",
            defaultValue = "1.1",
            description = "Exponent of the Zipf distribution: the n-th adapter is requested in proportion to n to"
                    + " the power of -X.")
    private double exponent;

    @Option(names = "--task-managers", paramLabel = "N", defaultValue = "50", description = "Number of TaskManagers.")
    private int taskManagers;

    @Option(
            names = "--slots",
            paramLabel = "N",
            defaultValue = "1",
            description = "Subtasks per TaskManager, which share its memory.")
    private int slots;

    @Option(
            names = "--resident",
            paramLabel = "N",
            defaultValue = "64",
            description = "Adapters that a TaskManager holds; the least recently used is evicted.")
    private int resident;

    @Option(
            names = "--load-bound",
            paramLabel = "X",
            defaultValue = "1.25",
            description = "The argument of affinity(...): the most records of a subtask, relative to the mean.")
    private double loadBound;

    @Option(names = "--records", paramLabel = "N", defaultValue = "1000000", description = "Measured records.")
    private int records;

    @Option(
            names = "--warm-up",
            paramLabel = "N",
            defaultValue = "1000000",
            description = "Warm-up records before those, starting with empty memory.")
    private int warmUp;

    @Mixin
    private OutputOptions output;

    @Spec
    private CommandSpec spec;

    @Override
    public Integer call() throws Exception {
        if (tenants < adapters) {
            throw new ParameterException(spec.commandLine(), "Each adapter needs a tenant; name more --tenants.");
        }
        AffinitySimulation simulation = new AffinitySimulation(
                adapters, tenants, exponent, taskManagers, slots, resident, loadBound, warmUp, records);
        List<AffinityResult> results = new ArrayList<>();
        for (Dealing dealing : Dealing.values()) {
            System.err.println("Dealing records by " + dealing.title());
            results.add(simulation.run(dealing));
        }
        System.out.print(AffinityResult.markdown(results));
        output.write(results, "affinity", chart(results));
        return 0;
    }

    private BarChart chart(List<AffinityResult> results) {
        BarChart chart = new BarChart(String.format(
                Locale.ROOT, "%,d adapters on %d TaskManagers that hold %d each", adapters, taskManagers, resident));
        chart.group("Records that find their adapter in memory, of 1");
        for (AffinityResult result : results) {
            chart.bar(result.dealing(), result.residentHitRate(), isOurs(result));
        }
        chart.group("Records of the busiest TaskManager, over the mean");
        for (AffinityResult result : results) {
            chart.bar(result.dealing(), result.maxOverMeanLoad(), isOurs(result));
        }
        chart.group("Adapters that a TaskManager is asked for");
        for (AffinityResult result : results) {
            chart.bar(result.dealing(), result.adaptersPerTaskManager(), isOurs(result));
        }
        return chart;
    }

    private static boolean isOurs(AffinityResult result) {
        return result.dealing().equals(Dealing.AFFINITY.title());
    }
}
