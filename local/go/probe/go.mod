module fulfillment.io/local/probe

go 1.25.0
