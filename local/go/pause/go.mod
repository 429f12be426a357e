module fulfillment.io/local/pause

go 1.25.0
