package io.llamafu.flink.routing;

import io.llamafu.flink.Completion;
import org.apache.flink.annotation.Internal;
import org.apache.flink.api.common.typeinfo.TypeInformation;

import java.io.Serializable;

/**
 * What travels through the operators for a record: its request alone, or the request with the record.
 *
 * @param <T> the records
 * @param <E> the elements that travel
 * @param <R> the outcomes
 */
@Internal
public interface Carrier<T, E, R> extends Serializable {

    TypeInformation<E> elementType();

    E carry(T value, RoutedRequest request);

    /** The request of an element; routers modify it in place. */
    RoutedRequest request(E element);

    TypeInformation<R> outcomeType();

    R outcome(E element, Completion completion);

    /** Flink cannot key by null; a request without a key already carries its error. */
    default String keyOf(E element) {
        String key = request(element).getKey();
        return key == null ? "" : key;
    }
}
