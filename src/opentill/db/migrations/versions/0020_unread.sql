create index wd_unread on webhook_delivery (endpoint_id, feed_seq) where state = 0 and feed_seq is not null;
