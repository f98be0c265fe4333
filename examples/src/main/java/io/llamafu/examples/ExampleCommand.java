package io.llamafu.examples;

import java.util.concurrent.Callable;

/**
 * The command of an example: runs it, prints the report, and exits with 0 if the report is sound, else with 1.
 *
 * @param <R> what came out
 */
interface ExampleCommand<R extends ExampleReport> extends Callable<Integer> {
    R run() throws Exception;

    @Override
    default Integer call() throws Exception {
        R report = run();
        System.out.println(report.text());
        return report.isSound() ? 0 : 1;
    }
}
